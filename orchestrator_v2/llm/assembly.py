"""An answer's text put together from the pieces of its stream: capped, clean, handed on as it comes.

What the pieces come in is each provider's stream reader; what a whole text has to pass is `structured.py`.
"""

from __future__ import annotations

from orchestrator_v2.core.errors import BadGatewayError
from orchestrator_v2.llm.base import Sink
from orchestrator_v2.llm.errors import make_error
from orchestrator_v2.llm.structured import MAX_BYTES, clean_text


class TextAssembly:
    """Raises `BadGatewayError` from `add` when the text is larger than 4 MiB."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._pieces: list[str] = []
        self._size = 0
        self._half = ""

    def add(self, text: str) -> None:
        """A character that some server cut in two escaped halves waits for its other half."""
        self._size += len(text)
        if self._size > MAX_BYTES:
            raise make_error(BadGatewayError, f"The answer is larger than {MAX_BYTES} characters.")
        text, self._half = self._half + text, ""
        if text and "\ud800" <= text[-1] <= "\udbff":
            text, self._half = text[:-1], text[-1]
        self._hand_on(text)

    def text(self) -> str:
        """All of it, once the stream has ended; the sink has been told the same."""
        rest, self._half = self._half, ""
        self._hand_on(rest)
        return "".join(self._pieces)

    def _hand_on(self, text: str) -> None:
        clean = clean_text(text)
        if clean:
            self._pieces.append(clean)
            self._sink(clean)
