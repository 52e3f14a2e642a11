"""Values that phases make and the journal keeps: provenance, artifacts, evidence receipts.

How files are written is `workspace/files.py`; how evidence is measured is `workspace/evidence.py`.
"""

from __future__ import annotations

import hashlib

import msgspec


class Provenance(msgspec.Struct, frozen=True, omit_defaults=True):
    """How a thing came to be. `kind`: simulated, real, fallback, replayed, engine (measured) or human."""

    kind: str = "simulated"
    provider: str = ""
    model: str = ""

    def __str__(self) -> str:
        made_by = "/".join(part for part in (self.provider, self.model) if part)
        return f"{self.kind} ({made_by})" if made_by else self.kind


SIMULATED = Provenance("simulated")
ENGINE = Provenance("engine")


def content_hash(content: bytes) -> str:
    """SHA-256 in hex: the address of a blob."""
    return hashlib.sha256(content).hexdigest()


class Artifact(msgspec.Struct, frozen=True, omit_defaults=True):
    """One file that a phase made: where it lies in the project, and the address of its bytes."""

    path: str
    hash: str
    size: int
    provenance: Provenance = SIMULATED


class Receipt(msgspec.Struct, frozen=True, omit_defaults=True):
    """One measurement by the engine. `check` names it (`tests`, `parses`, `no-placeholders`, …).

    `command`, `exit_code`, the counts and `isolation` are set where a process ran; `duration` is in seconds;
    `tree` is the hash of the files that were measured; `output` is the capped tail of what the process printed.
    """

    check: str
    passed: bool
    detail: str = ""
    command: tuple[str, ...] = ()
    exit_code: int | None = None
    tests_collected: int = 0
    tests_passed: int = 0
    tests_failed: int = 0
    tests_skipped: int = 0
    duration: float = 0.0
    tree: str = ""
    isolation: str = ""
    output: str = ""


def tree_hash(files: list[tuple[str, str]]) -> str:
    """One hash over (path, content hash) pairs, in path order."""
    digest = hashlib.sha256()
    for path, content in sorted(files):
        digest.update(f"{content} {path}\n".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()
