"""Hygiene: what should not lie in a repository, measured over every file at hand, and a .gitignore.

Reviews of design and code are `reviewing.py`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping

from orchestrator_v2.agents.simulated import clean
from orchestrator_v2.agents.simulated.measuring import parse, undocumented
from orchestrator_v2.agents.simulated.rendering import load_renderer
from orchestrator_v2.agents.simulated.reviewing import Check, check_none
from orchestrator_v2.agents.simulated.step import SimulatedStep, Work
from orchestrator_v2.agents.simulated.upstream import read_spec

LARGE = 100_000
"""Bytes from which on a file is large."""

_SECRETS = re.compile(
    r"sk-[A-Za-z0-9_-]{20,}|gh[pousr]_[A-Za-z0-9]{30,}|AKIA[0-9A-Z]{16}"
    r"|xox[abp]-[A-Za-z0-9-]{10,}|-----BEGIN [A-Z ]*PRIVATE KEY-----"
)
_PRINTS = ("cli.py", "__main__.py")


def tidy(work: Work) -> list[SimulatedStep]:
    """.gitignore and docs/hygiene.md"""
    spec = read_spec(work.brief, work.answers, work.inputs)
    checks = list(_checks(work.inputs))
    renderer = load_renderer()
    text = renderer.file(
        "steward",
        "hygiene.md",
        files=len(work.inputs),
        size=sum(_size(text) for text in work.inputs.values()),
        checks=checks,
    )
    held = sum(check.holds for check in checks)
    files = {".gitignore": renderer.file("steward", "gitignore", spec=spec), "docs/hygiene.md": text}
    return [SimulatedStep("Hygiene", f"{held} of {len(checks)} checks hold.", files)]


def _checks(files: Mapping[str, str]) -> Iterator[Check]:
    paths = sorted(files)
    python = [path for path in paths if path.endswith(".py")]
    source = {path: files[path] for path in python if path.startswith("src/")}
    large = (f"{path}: {_size(files[path])} bytes" for path in paths if _size(files[path]) > LARGE)
    yield check_none(f"No file over {LARGE} bytes", large, len(paths), "files")
    secret = (path for path in paths if _SECRETS.search(files[path]))
    yield check_none("Nothing that looks like a secret", secret, len(paths), "files")
    prints = list(_prints(source))
    yield Check("Only the command line prints", clean.counted(len(prints), "stray print"), not prints, tuple(prints))
    bare = undocumented(source)
    yield Check("Public names have docstrings", f"{len(bare)} without", not bare, bare)
    spaces = (path for path in python if re.search(r"[ \t]+$|\t", files[path], re.MULTILINE))
    yield check_none("No tabs and no spaces at line ends", spaces, len(python), "Python files")
    ends = (path for path in paths if files[path] and not files[path].endswith("\n"))
    yield check_none("Each file ends with a line end", ends, len(paths), "files")
    marks = (path for path in python if clean.MARKERS.search(files[path]))
    yield check_none("No marks of unfinished work", marks, len(python), "Python files")
    names = (path for path in paths if not re.fullmatch(r"[A-Za-z0-9._/-]+", path))
    yield check_none("Plain file names", names, len(paths), "files")


def _prints(source: Mapping[str, str]) -> Iterator[str]:
    for path, text in source.items():
        tree = parse(text) if not path.endswith(_PRINTS) else None
        for node in ast.walk(tree) if tree else ():
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
                yield f"{path}:{node.lineno}"


def _size(text: str) -> int:
    return len(text.encode("utf-8", "replace"))
