"""A local server that speaks Anthropic's Message Batches beside its Messages wire, as strictly.

Plain messages are `fake_anthropic.py`, what happens to a batch is `fake_batches.py`.

    async with FakeAnthropicBatches(worked_reply) as server:
        ...  # server.desk.batches holds what was handed in
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from orchestrator_v2.testing.anthropic_rules import Seen, broken_rules
from orchestrator_v2.testing.fake_anthropic import SPEECH, FakeAnthropic, Reply, body_of
from orchestrator_v2.testing.fake_batches import Batch, Desk

_BATCHES = re.compile(r"/v1/messages/batches(?:/(?P<handle>[^/]+)(?P<results>/results)?)?$")
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")


class FakeAnthropicBatches(FakeAnthropic):
    """`default` answers messages and batches alike; `ends` and `polls` are the desk's."""

    def __init__(
        self, default: Callable[[Seen], Reply], ends: Iterable[Reply | str] = (), *, polls: int = 1, **more: Any
    ) -> None:
        super().__init__(default=default, **more)
        self._speech = msgspec.structs.replace(SPEECH, broken_rules=_broken)
        self.desk: Desk[Reply] = Desk(default, ends, polls=polls)

    def _next(self, seen: Seen) -> Reply:
        asked = _BATCHES.search(seen.path)
        if asked is None or self._replies:
            return super()._next(seen)
        if asked["handle"] is None:
            (call,) = seen.body["requests"]
            return _json(_state(self.desk.take("msgbatch", call["custom_id"], call["params"], "/v1/messages"), False))
        batch, ended = self.desk.poll(asked["handle"])
        if batch is None:
            return Reply(status=404, message="no such batch")
        if not asked["results"]:
            return _json(_state(batch, ended))
        return Reply(body=json.dumps({"custom_id": batch.name, "result": result_of(batch)}).encode() + b"\n")


def _state(batch: Batch[Reply], ended: bool) -> dict[str, Any]:
    return {
        "id": batch.handle,
        "type": "message_batch",
        "processing_status": "ended" if ended else "in_progress",
        # Another origin than the one that was asked: nobody's key belongs there.
        "results_url": "http://127.0.0.1:9/elsewhere" if ended else None,
    }


def result_of(batch: Batch[Reply]) -> dict[str, Any]:
    end = batch.end
    if isinstance(end, str):
        return {"type": end}
    if end.status != 200:
        return {"type": "errored", "error": json.loads(body_of(end))}
    return {"type": "succeeded", "message": _message(end)}


def _message(reply: Reply) -> dict[str, Any]:
    calls = [
        {"type": "tool_use", "id": call_id, "name": name, "input": json.loads(arguments)}
        for call_id, name, arguments in reply.tool_uses
    ]
    stop = ("tool_use" if calls else "end_turn") if reply.stop_reason == "" else reply.stop_reason
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "content": [{"type": "text", "text": reply.text}, *calls],
        "stop_reason": stop,
        "usage": dict(reply.usage),
    }


def _json(value: dict[str, Any]) -> Reply:
    return Reply(body=json.dumps(value).encode())


def _broken(seen: Seen) -> list[str]:
    """A batch's calls keep the rules of messages, but for the stream; reading one asks for the key alone."""
    if _BATCHES.search(seen.path) is None:
        return broken_rules(seen)
    if seen.method == "GET":
        return broken_rules(msgspec.structs.replace(seen, path="/v1/models"))
    requests = seen.body.get("requests") or [{}]
    broken = [] if all(_NAME.fullmatch(str(call.get("custom_id"))) for call in requests) else ["custom_id: a name"]
    broken += ["params: no stream"] if any("stream" in call.get("params", {}) for call in requests) else []
    for call in requests:
        alone = msgspec.json.encode(call.get("params", {}))
        broken += broken_rules(msgspec.structs.replace(seen, path="/v1/messages", raw=alone))
    return broken
