"""Wishes that reach a run from outside its driver: what can be sent, and what each leads to.

They wait durably in the journal (`send_signal`) until whoever drives the run takes them.
"""

from __future__ import annotations

import logging

import msgspec

from orchestrator_v2.core import events as e
from orchestrator_v2.engine import decisions
from orchestrator_v2.engine.phase_graph import PhaseGraph
from orchestrator_v2.engine.ports import Signal
from orchestrator_v2.engine.state_models import TERMINAL, PhaseStatus, ProjectState

_log = logging.getLogger(__name__)


class Review(msgspec.Struct, frozen=True):
    """A person's decision, bound to the content hash that was seen. Sent as `review`."""

    phase: str
    approved: bool
    by: str
    content: str
    reason: str = ""


class Wish(msgspec.Struct, frozen=True):
    """Who wants it. Sent as `cancel` or `pause`."""

    by: str = ""


WISHES = ("cancel", "pause")


def encode(payload: Review | Wish) -> bytes:
    return msgspec.json.encode(payload)


def decision_of(graph: PhaseGraph, state: ProjectState, signal: Signal) -> decisions.Decision:
    """What a signal leads to in this state; one that came too late leads to nothing, and is logged."""
    if state.status in TERMINAL:
        _log.info("run %s has ended; the signal '%s' changes nothing", state.run_id, signal.kind)
        return decisions.Decision(())
    if signal.kind not in _KINDS:
        _log.warning("run %s: there is no signal '%s'", state.run_id, signal.kind)
        return decisions.Decision(())
    try:
        return _KINDS[signal.kind](graph, state, signal)
    except msgspec.MsgspecError:
        _log.warning("run %s: the signal '%s' cannot be read, and is dropped", state.run_id, signal.kind)
        return decisions.Decision(())


def _cancel(graph: PhaseGraph, state: ProjectState, signal: Signal) -> decisions.Decision:
    return decisions.Decision((e.RunCancelled(msgspec.json.decode(signal.payload, type=Wish).by),))


def _pause(graph: PhaseGraph, state: ProjectState, signal: Signal) -> decisions.Decision:
    by = msgspec.json.decode(signal.payload, type=Wish).by
    stop = e.RunParked("paused", f"Paused by {by or 'somebody'}.", do="`orchestrator resume RUN` goes on.")
    return decisions.Decision((), stop)


def _review(graph: PhaseGraph, state: ProjectState, signal: Signal) -> decisions.Decision:
    review = msgspec.json.decode(signal.payload, type=Review)
    phase = state.phase(review.phase)
    if phase.status is not PhaseStatus.WAITING_REVIEW or phase.reviewed != review.content:
        _log.warning("run %s: the review of '%s' is of a content that is gone", state.run_id, review.phase)
        return decisions.Decision(())
    return decisions.reviewed(graph, state, e.ReviewDecided(**msgspec.structs.asdict(review)))


_KINDS = {"cancel": _cancel, "pause": _pause, "review": _review}
