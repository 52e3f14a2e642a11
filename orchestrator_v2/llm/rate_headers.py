"""What an answer's rate-limit headers say: how much is left of each allowance, and when it is full again.

Pure reading; who waits by it is `lane.py`. `retry-after` itself is read by `errors.retry_after`.
"""

from __future__ import annotations

import datetime
import email.utils
import re
from collections.abc import Mapping

import msgspec

REQUESTS, TOKENS, INPUT, OUTPUT = "requests", "tokens", "input-tokens", "output-tokens"
_PARTS = ("remaining", "reset", "limit")
# Header name to (allowance, part). Names: Anthropic's and OpenAI's documents; most others use one of the two.
_FIELDS: Mapping[str, tuple[str, str]] = {
    **{
        f"anthropic-ratelimit-{what}-{part}": (what, part)
        for what in (REQUESTS, TOKENS, INPUT, OUTPUT)
        for part in _PARTS
    },
    **{f"x-ratelimit-{part}-{what}": (what, part) for what in (REQUESTS, TOKENS) for part in _PARTS},
}
_UNITS: Mapping[str, float] = {"d": 86_400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|[dhms]))+")
_PIECE = re.compile(r"(\d+(?:\.\d+)?)(ms|[dhms])")
# A reset further away than a day's quota is no honest one, or the clocks are wrong.
LONGEST = 86_400.0


class Allowance(msgspec.Struct):
    """What is left of one allowance, as far as known. `reset` is the header's text, `date` the server's own time."""

    remaining: int | None = None
    limit: int | None = None
    reset: str = ""
    date: str = ""
    learned_now: float = 0.0
    learned_monotonic: float = 0.0

    def full_at(self) -> float:
        """Monotonic seconds at which it is full again; the moment it was learned where no valid reset came along."""
        seconds = seconds_until(self.reset, server_now(self.date, self.learned_now))
        return self.learned_monotonic + (seconds or 0.0)


def read_allowances(headers: Mapping[str, str], *, now: float, monotonic: float) -> dict[str, Allowance]:
    """The allowances that `headers` speak of, by name; those without a number of what is left are left out."""
    found: dict[str, Allowance] = {}
    date = ""
    for name, value in headers.items():
        lowered = name.lower()
        if lowered == "date":
            date = value
        field = _FIELDS.get(lowered)
        if field is not None:
            what, part = field
            allowance = found.setdefault(what, Allowance(learned_now=now, learned_monotonic=monotonic))
            setattr(allowance, part, value.strip() if part == "reset" else _count(value))
    for allowance in found.values():
        allowance.date = date
    return {what: allowance for what, allowance in found.items() if allowance.remaining is not None}


def seconds_until(reset: str, now: float) -> float | None:
    """Seconds from `now` (epoch) to a reset: `2026-11-21T14:00:00Z`, `6m0s`, `20ms`, `1.5`; None for anything else."""
    if _DURATION.fullmatch(reset):
        return min(LONGEST, sum(float(number) * _UNITS[unit] for number, unit in _PIECE.findall(reset)))
    try:
        seconds = float(reset) if "T" not in reset else _moment(reset) - now
    except (ValueError, OverflowError):
        return None
    return min(LONGEST, max(0.0, seconds)) if seconds == seconds else None  # noqa: PLR0124 - NaN


def server_now(date: str, ours: float) -> float:
    """The server's epoch seconds by its Date header, so that two clocks that differ do no harm; else `ours`."""
    try:
        return email.utils.parsedate_to_datetime(date).timestamp() if date else ours
    except (TypeError, ValueError, OverflowError):
        return ours


def _moment(text: str) -> float:
    moment = datetime.datetime.fromisoformat(text)
    return moment.replace(tzinfo=moment.tzinfo or datetime.UTC).timestamp()


def _count(value: str) -> int | None:
    stripped = value.strip()
    return int(stripped) if stripped.isascii() and stripped.isdigit() and len(stripped) < 16 else None
