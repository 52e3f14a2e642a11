"""A local server that speaks as much of Anthropic's Messages wire as a benchmark needs, as fast as it can.

Answers are made once and sent as they are; the prompt says which: `229` asks for a stream of 229 deltas, `bench.echo`
for JSON. Who asks is `llm_clients.py` and `operations.py`; it runs in a process of its own, so that its CPU is not
theirs.
"""

from __future__ import annotations

import asyncio
import json
import sys

TEXT = "The quick brown fox jumps over the lazy dog. " * 5


def _event(kind: str, **fields: object) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()


def _stream(deltas: int, text: str = TEXT) -> bytes:
    size = max(1, -(-len(text) // deltas))
    usage = {"input_tokens": 20, "output_tokens": 60}
    message = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-5-5",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage,
    }
    pieces = [text[at * size : (at + 1) * size] for at in range(deltas)]
    pieces = [piece or ("x" if text is TEXT else " ") for piece in pieces]
    return b"".join(
        [
            _event("message_start", message=message),
            _event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
            *(_event("content_block_delta", index=0, delta={"type": "text_delta", "text": text}) for text in pieces),
            _event("content_block_stop", index=0),
            _event("message_delta", delta={"stop_reason": "end_turn", "stop_sequence": None}, usage=usage),
            _event("message_stop"),
        ]
    )


def _whole(text: str) -> bytes:
    return json.dumps(
        {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": "claude-sonnet-5-5",
            "content": [{"type": "text", "text": text}],
            "stop_reason": "end_turn",
            "stop_sequence": None,
            "usage": {"input_tokens": 20, "output_tokens": 60},
        }
    ).encode()


def _response(kind: bytes, body: bytes) -> bytes:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: " + kind + b"\r\nrequest-id: req_1\r\n"
    return head + b"content-length: " + str(len(body)).encode() + b"\r\n\r\n" + body


ECHO = json.dumps({"text": TEXT})
WHOLE = _response(b"application/json", _whole(TEXT))
SHORT = _response(b"text/event-stream", _stream(12))
LONG = _response(b"text/event-stream", _stream(229))
ECHO_WHOLE = _response(b"application/json", _whole(ECHO))
ECHO_SHORT = _response(b"text/event-stream", _stream(12, ECHO))


def _answer(body: bytes) -> bytes:
    streamed = b'"stream":true' in body.replace(b" ", b"")
    if b"bench.echo" in body:
        return ECHO_SHORT if streamed else ECHO_WHOLE
    return (LONG if b"229" in body else SHORT) if streamed else WHOLE


class Conversation(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._held = b""

    def data_received(self, data: bytes) -> None:
        self._held += data
        while (end := self._held.find(b"\r\n\r\n")) >= 0:
            head = self._held[:end].lower()
            at = head.find(b"content-length:")
            size = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self._held) < end + 4 + size:
                return
            body, self._held = self._held[end + 4 : end + 4 + size], self._held[end + 4 + size :]
            self._transport.write(_answer(body))  # type: ignore[attr-defined]


async def main() -> None:
    server = await asyncio.get_running_loop().create_server(Conversation, "127.0.0.1", 0, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
