"""The way of finished spans to the collector: one that cannot be reached is said once, and costs nobody a run.

What is sent, and when the way is opened and closed, is `tracing.py`.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from typing import Any

# It has an error or a warning for each try.
VENDORS_LOGGER = "opentelemetry.exporter.otlp.proto.http.trace_exporter"
_log = logging.getLogger(__name__)


class ToldOnce(logging.Filter):
    """An exporter around OpenTelemetry's; what that one says of its tries is kept for one warning of ours."""

    def __init__(self, exporter: Any) -> None:
        super().__init__()
        self._exporter = exporter
        self._thread: int | None = None
        self._said = ""
        self._told = False
        self._closing = threading.Lock()

    def filter(self, record: logging.LogRecord) -> bool:
        if threading.get_ident() != self._thread:
            return True
        self._said = record.getMessage()
        return False

    def export(self, spans: Sequence[Any]) -> Any:
        from opentelemetry.sdk.trace.export import SpanExportResult

        logger, self._thread = logging.getLogger(VENDORS_LOGGER), threading.get_ident()
        logger.addFilter(self)
        try:
            result = self._exporter.export(spans)
        finally:
            logger.removeFilter(self)
        if result is not SpanExportResult.SUCCESS:
            self._tell(self._said)
        return result

    def shutdown(self) -> None:
        """The collector is not asked again; once is enough."""
        if self._closing.acquire(blocking=False):
            self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return True

    def give_up(self) -> None:
        """What waits for another try is let go."""
        self._tell(self._said or "it takes too long")
        self.shutdown()

    def _tell(self, why: str) -> None:
        if not self._told:
            self._told = True
            where = "where they go is set by OTEL_EXPORTER_OTLP_ENDPOINT"
            _log.warning("traces cannot be sent (%s); runs go on without them, %s", why, where)
