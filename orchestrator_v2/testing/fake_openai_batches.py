"""A local server that speaks OpenAI's files and batches beside its chat wire, as strictly.

Plain chat is `fake_openai.py`, what happens to a batch is `fake_batches.py`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from email import message_from_bytes
from email.message import Message
from typing import Any

import msgspec

from orchestrator_v2.testing.fake_batches import Batch, Desk
from orchestrator_v2.testing.fake_openai import SPEECH, FakeOpenAI, Reply, body_of
from orchestrator_v2.testing.openai_rules import Seen, broken_rules

_PATH = re.compile(r"/(?P<kind>files|batches)(?:/(?P<id>[^/]+))?(?:/content)?$")
_CHAT = "/v1/chat/completions"


class FakeOpenAIBatches(FakeOpenAI):
    """`default` answers chat and batches alike; `ends` and `polls` are the desk's. `files` holds what was uploaded."""

    def __init__(
        self, default: Callable[[Seen], Reply], ends: Iterable[Reply | str] = (), *, polls: int = 1, **more: Any
    ) -> None:
        super().__init__(default=default, **more)
        self._speech = msgspec.structs.replace(SPEECH, broken_rules=_broken)
        self.desk: Desk[Reply] = Desk(default, ends, polls=polls)
        self.files: dict[str, bytes] = {}

    def _next(self, seen: Seen) -> Reply:
        asked = _PATH.search(seen.path)
        if asked is None or self._replies:
            return super()._next(seen)
        return (self._of_files if asked["kind"] == "files" else self._of_batches)(seen, asked["id"])

    def _of_files(self, seen: Seen, file: str | None) -> Reply:
        if file is None:
            name = f"file-in-{len(self.files) + 1}"
            self.files[name] = _form(seen)["file"]
            return _json({"id": name, "object": "file", "purpose": "batch"})
        batch = self.desk.batches.get(file.removeprefix("file-out-"))
        if batch is None:
            return Reply(status=404, message="no such file")
        return Reply(body=json.dumps(line_of(batch)).encode() + b"\n")

    def _of_batches(self, seen: Seen, handle: str | None) -> Reply:
        if handle is None:
            call = json.loads(self.files[seen.body["input_file_id"]])
            return _json(_state(self.desk.take("batch", call["custom_id"], call["body"], _CHAT), False))
        batch, ended = self.desk.poll(handle)
        return Reply(status=404, message="no such batch") if batch is None else _json(_state(batch, ended))


def _state(batch: Batch[Reply], ended: bool) -> dict[str, Any]:
    status, file = "completed", f"file-out-{batch.handle}"
    kind = "output_file_id"
    if isinstance(batch.end, str):
        status, file = {"canceled": "cancelled"}.get(batch.end, batch.end), ""
    elif batch.end.status != 200:
        kind = "error_file_id"
    ends = {"status": status, **({kind: file} if file else {})}
    return {"id": batch.handle, "object": "batch", **(ends if ended else {"status": "in_progress"})}


def line_of(batch: Batch[Reply]) -> dict[str, Any]:
    end = batch.end if isinstance(batch.end, Reply) else Reply(status=404)
    body = _completion(end) if end.status == 200 else json.loads(body_of(end))
    response = {"status_code": end.status, "request_id": "req_batch", "body": body}
    return {"id": "batch_req_1", "custom_id": batch.name, "response": response, "error": None}


def _completion(reply: Reply) -> dict[str, Any]:
    calls = [
        {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}
        for call_id, name, arguments in reply.tool_calls
    ]
    message = {"role": "assistant", "content": reply.text, **({"tool_calls": calls} if calls else {})}
    choice = {"index": 0, "message": message, "finish_reason": reply.stop_reason}
    return {"id": "chatcmpl-1", "object": "chat.completion", "choices": [choice], "usage": reply.usage}


def _json(value: dict[str, Any]) -> Reply:
    return Reply(body=json.dumps(value).encode())


def _form(seen: Seen) -> dict[str, bytes]:
    """The parts of an uploaded form by name, read by the parser that Python has for mail."""
    head = f"Content-Type: {seen.headers.get('content-type', '')}\r\n\r\n".encode()
    parts = message_from_bytes(head + seen.raw).get_payload()
    fields: dict[str, bytes] = {}
    for part in parts if isinstance(parts, list) else []:
        if isinstance(part, Message):
            name = part.get_param("name", "", header="content-disposition")
            fields[str(name)] = bytes(part.get_payload(decode=True) or b"")
    return fields


def _broken(seen: Seen) -> list[str]:
    """A batch's calls keep the rules of chat, but for the stream; of the rest the form is looked at."""
    asked = _PATH.search(seen.path)
    if asked is None:
        return broken_rules(seen)
    if seen.method == "GET":
        return broken_rules(msgspec.structs.replace(seen, path="/v1/models"))
    return _of_upload(seen) if asked["kind"] == "files" else _of_batch(seen)


def _of_upload(seen: Seen) -> list[str]:
    form = _form(seen)
    lines = form.get("file", b"").splitlines()
    broken = [] if form.get("purpose") == b"batch" and lines else ["a form with the purpose batch and a file"]
    for call in map(json.loads, lines):
        broken += [] if (call["method"], call["url"]) == ("POST", _CHAT) else ["the call posts to the chat endpoint"]
        broken += ["body: no stream"] if "stream" in call["body"] or "stream_options" in call["body"] else []
        headers = {**seen.headers, "content-type": "application/json"}
        raw = msgspec.json.encode({**call["body"], "stream": True})
        broken += broken_rules(msgspec.structs.replace(seen, path=_CHAT, headers=headers, raw=raw))
    return broken


def _of_batch(seen: Seen) -> list[str]:
    whole = seen.body.get("endpoint") == _CHAT and seen.body.get("completion_window") == "24h"
    return (
        [] if whole and seen.body.get("input_file_id") else ["input_file_id, endpoint and completion_window: missing"]
    )
