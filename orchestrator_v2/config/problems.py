"""What is wrong with a configuration: each fault with its file, line and key, and all of them as one error.

What is looked for is `project_checks.py` and `schema.py`; how it is shown is the command line's.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

import msgspec

from orchestrator_v2.core.errors import ConfigError
from orchestrator_v2.core.secrets import redact

_SHOWN = 20


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """`what` failed, for which agent; `line` is 1-based, 0 where there is none; `key` is dotted.

    `key_only`: it is not the file that is wrong but the machine that lacks a key, or may not send it there. `at` is the
    key in its parts.
    """

    file: str
    line: int
    key: str
    what: str
    reason: str
    valid: tuple[str, ...] = ()
    key_only: bool = False
    at: tuple[str | int, ...] = ()

    @property
    def place(self) -> str:
        line = f", line {self.line}" if self.line else ""
        return f"{self.file}{line}: {redact(self.key)}" if self.key else f"{self.file}{line}"

    @property
    def why(self) -> str:
        more = ", …" if len(self.valid) > _SHOWN else ""
        valid = f" Valid: {', '.join(self.valid[:_SHOWN])}{more}." if self.valid else ""
        # A key may have been pasted into any of the places that a file has.
        return f"Reason: {redact(self.reason)}{valid}"

    @property
    def do(self) -> str:
        return f"Edit {self.place}."

    def __str__(self) -> str:
        return " ".join((redact(self.what), self.why, self.do))

    def error(self) -> ConfigError:
        return ConfigError(redact(self.what), self.why, self.do)


def as_error(problems: Sequence[Problem]) -> ConfigError:
    """All of them in one error; there is at least one."""
    if len(problems) == 1:
        return problems[0].error()
    files = dict.fromkeys(problem.file for problem in problems)
    return ConfigError(
        f"{' and '.join(files)} {'has' if len(files) == 1 else 'have'} {len(problems)} problems.",
        " ".join(f"({number}) {problem}" for number, problem in enumerate(problems, 1)),
        "`orchestrator config validate` lists them.",
    )


def what_failed(key: Sequence[str | int]) -> str:
    """The first sentence for a fault at that key."""
    if len(key) > 1 and key[0] == "agent_assignments":
        return f"The model of agent '{key[1]}' cannot be used."
    if key and key[0] == "budget":
        return "The budget cannot be used."
    if key and key[0] in {"llm_provider", "model", "base_url", "api_key", "reasoning", "search", "fallbacks"}:
        return "The project's model cannot be used."
    return "The configuration cannot be used."


def dotted(key: Sequence[str | int]) -> str:
    return ".".join(map(str, key))


def nearest(name: str, names: Iterable[str]) -> str:
    """` Did you mean 'x'?`, or nothing."""
    near = get_close_matches(name, list(names), n=1)
    return f" Did you mean '{near[0]}'?" if near else ""
