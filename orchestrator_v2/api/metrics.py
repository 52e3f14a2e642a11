"""Figures of this process for Prometheus: requests, streams, runs under way.

What a run cost is in its ledger; traces are the telemetry floor's.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

from orchestrator_v2.service.service import Service

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_KNOWN = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Metrics:
    """One registry for each server; `requests` is handed to the guard."""

    def __init__(self, service: Service) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._requests = Counter(
            "orchestrator_requests", "Requests answered.", ("method", "route", "status"), registry=self._registry
        )
        self._seconds = Histogram(
            "orchestrator_request_seconds", "Time until the answer was out.", ("route",), registry=self._registry
        )
        active = Gauge("orchestrator_runs_active", "Runs that this process drives.", registry=self._registry)
        active.set_function(lambda: float(service.keeper.active))
        streams = Gauge("orchestrator_streams", "Event streams that are open.", registry=self._registry)
        streams.set_function(lambda: float(service.changes.listeners))

    def requests(self, method: str, route: str, status: int, seconds: float) -> None:
        """Counts by the route's pattern: paths and methods that callers make up would be series without end."""
        shown = route or "none"
        self._requests.labels(method if method in _KNOWN else "other", shown, str(status)).inc()
        self._seconds.labels(shown).observe(seconds)

    def page(self) -> bytes:
        return generate_latest(self._registry)
