"""How the states of runs, phases, calls and keys look and are named on the page: data.

A state differs by mark and word, never by colour alone. Sentences about events are `timeline.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from orchestrator_v2.engine.telling import PHASE_STANDS, STANDS


class Look(NamedTuple):
    """A mark, a tone (`quiet`, `busy`, `waits`, `good`, `bad`: a class of the style sheet), and the state in words."""

    mark: str
    tone: str
    words: str


_PHASE_MARKS = {
    "pending": ("○", "quiet"),
    "running": ("●", "busy"),
    "waiting_review": ("◆", "waits"),
    "done": ("✓", "good"),
    "skipped": ("–", "quiet"),
    "failed": ("✗", "bad"),
}
_WAITS = ("◆", "waits")
_RUN_MARKS = {
    "running": ("●", "busy"),
    "paused": ("‖", "waits"),
    "completed": ("✓", "good"),
    "failed": ("✗", "bad"),
    "cancelled": ("–", "quiet"),
    "interrupted": ("◌", "waits"),
    "queued": ("○", "busy"),
}

PHASE: Mapping[str, Look] = MappingProxyType(
    {
        **{status: Look(*_PHASE_MARKS[status], words) for status, words in PHASE_STANDS.items()},
        # One that works, and has given no sign of life for long.
        "stalled": Look("◌", "waits", "stalled"),
    }
)
RUN: Mapping[str, Look] = MappingProxyType(
    {status: Look(*_RUN_MARKS.get(status, _WAITS), words) for status, words in STANDS.items()}
)

# What a person can do next on the run's page, by the run's status.
ADVICE: Mapping[str, str] = MappingProxyType(
    {
        "paused": "Resume it to go on.",
        "waiting_review": "Read what waits below, then approve it, reject it with a reason, or edit it.",
        "waiting_provider": "It goes on by itself; resume it to try at once.",
        "waiting_budget": "Resume it with a higher ceiling.",
        "needs_credential": "Store a valid key in the settings, then resume it.",
        "needs_attention": "Look at the evidence below; then resume it, or roll it back to an earlier phase.",
        "blocked": "Put right what blocks it, then resume it.",
        "failed": "Look at what failed; then resume it, or roll it back to an earlier phase.",
        "interrupted": "Resume it to go on.",
        "queued": "It goes on by itself when it is its turn.",
    }
)

CALL: Mapping[str, Look] = MappingProxyType(
    {
        "intent": Look("●", "busy", "under way"),
        "submitted": Look("●", "busy", "handed in as a batch"),
        "done": Look("✓", "good", "answered"),
        "failed": Look("✗", "bad", "failed"),
        "outcome_unknown": Look("◆", "waits", "outcome unknown"),
    }
)

KEY: Mapping[str, Look] = MappingProxyType(
    {
        "ok": Look("✓", "good", "stored"),
        "invalid": Look("✗", "bad", "refused"),
        "revoked": Look("–", "quiet", "removed"),
    }
)

PASSED, BROKEN = Look("✓", "good", "passed"), Look("✗", "bad", "failed")

# The short badge of a mode, and the sentence behind it.
MODES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "simulated": ("Simulated", "Made from templates. No model is asked, and it costs nothing."),
        "real": ("Real", "Models are asked, and what they answer is charged."),
        "replay": ("Replay", "Recorded answers are used again. Nothing is sent, and it costs nothing."),
        "auto": ("Auto", "Real where you have a key, else simulated; settled when the run starts."),
    }
)


def look_of_run(status: str) -> Look:
    return RUN.get(status, Look("◆", "waits", status.replace("_", " ")))


def look_of_phase(status: str) -> Look:
    return PHASE.get(status, PHASE["pending"])
