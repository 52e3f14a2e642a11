"""Standard logging, set up in one place: one redacted line (or JSON object) for each record.

Modules log through `logging.getLogger(__name__)` as usual; what a run did is in its events, not here.
"""

from __future__ import annotations

import json as json_module
import logging
import math
import time
from collections.abc import Callable, Collection, Mapping
from contextvars import ContextVar
from typing import TextIO

from orchestrator_v2.core.secrets import Secret, redact

# At INFO and below these write request headers and bodies, and with them keys and prompts.
VENDOR_LOGGERS = ("anthropic", "openai", "httpx", "httpx2", "httpcore", "httpcore2", "botocore")
_OURS = "orchestrator_v2"
_LINE = frozenset({"at", "level", "logger", "message"})
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
# A model's text must not move the cursor, nor look like a line of its own.
_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))} | {9: "\t", 10: "\n  "}


Layout = Callable[[Mapping[str, object]], str]


def configure_logging(
    level: str,
    stream: TextIO,
    *,
    json: bool = False,
    secrets: Collection[Secret] = (),
    correlation: ContextVar[str] | None = None,
) -> logging.Handler:
    """Sends this package's records of `level` ("debug" … "error") and others' warnings to `stream`.

    `secrets` is read at each record, so keys may be added to it later. `correlation` holds what is worked on (a
    run's id) and is written where it is set. Called again, it takes the place of the earlier call.
    """
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if isinstance(handler, _RedactingHandler)]:
        root.removeHandler(handler)
    handler = _RedactingHandler(stream, _Redactor(secrets), _as_json if json else _as_text, correlation)
    root.addHandler(handler)
    logging.getLogger(_OURS).setLevel(level.upper())
    for name in VENDOR_LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)
    return handler


class _Redactor:
    """Plain data out of any value, with no key in it: by the value of live ones, by shape for others."""

    def __init__(self, secrets: Collection[Secret]) -> None:
        self._secrets = secrets

    def __call__(self, value: object) -> object:
        if value is None or isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
            return value
        if isinstance(value, Mapping):
            return {self.text(key): self(item) for key, item in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self(item) for item in value]
        return self.text(value)

    def text(self, value: object) -> str:
        return redact(value if isinstance(value, str) else repr(value), self._secrets)


class _RedactingHandler(logging.StreamHandler[TextIO]):
    """Everything of a record passes the redactor: message, arguments, exception, stack and extras."""

    def __init__(
        self, stream: TextIO, redactor: _Redactor, layout: Layout, correlation: ContextVar[str] | None
    ) -> None:
        super().__init__(stream)
        self._redactor = redactor
        self._layout = layout
        self._correlation = correlation

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, object] = {
            "at": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if self._correlation is not None and (correlation := self._correlation.get("")):
            fields["correlation"] = correlation
        fields |= {name: value for name, value in vars(record).items() if name not in _STANDARD}
        if record.exc_info:
            fields["exception"] = logging.Formatter().formatException(record.exc_info)
        if record.stack_info:
            fields["stack"] = record.stack_info
        return self._layout({name: self._redactor(value) for name, value in fields.items()})

    def handleError(self, record: logging.LogRecord) -> None:
        """The standard report prints the arguments as they are; this one names the place only."""
        place = f"{record.name}, {record.filename}:{record.lineno}"
        self.stream.write(f"a log record could not be written ({place})\n")


def _as_json(fields: Mapping[str, object]) -> str:
    return json_module.dumps(fields)


def _as_text(fields: Mapping[str, object]) -> str:
    rest = {name: value for name, value in fields.items() if name not in _LINE}
    blocks = [str(rest.pop(name)) for name in ("exception", "stack") if name in rest]
    line = f"{fields['at']} {str(fields['level']).upper()} {fields['logger']}: {fields['message']}"
    extras = "".join(f" {name}={value}" for name, value in rest.items())
    return "\n".join((line + extras, *blocks)).translate(_CONTROLS)
