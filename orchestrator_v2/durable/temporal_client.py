"""The way to Temporal: one connection, made when it is first used; what goes wrong on it in words that help.

What is sent is a run's id and the kind of news; nothing that was said here is needed, as the journal holds it all.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

from orchestrator_v2.core.errors import ConfigError, DriverUnavailableError, MissingExtraError, OrchestratorError
from orchestrator_v2.durable.temporal_messages import LOOK, WORKFLOW, Start
from orchestrator_v2.durable.temporal_security import TemporalSecurity

# How long Temporal may take to answer (seconds).
PATIENCE = 5.0
# Temporal's bound on a fairness key (bytes).
LONGEST_KEY = 64


class Temporal:
    """`address` is host:port of Temporal's frontend; workflows go to `task_queue` in `namespace`."""

    def __init__(
        self,
        address: str,
        namespace: str,
        task_queue: str,
        security: TemporalSecurity = TemporalSecurity(),  # noqa: B008 - frozen
        *,
        longest: int = 0,
    ) -> None:
        self.address = address
        self.namespace = namespace
        self.task_queue = task_queue
        self._security = security
        self._longest = longest
        self._client: Any = None

    async def client(self) -> Any:
        """The `temporalio.client.Client`. Raises `DriverUnavailableError`, `ConfigError` for the files of its security,
        `MissingExtraError` without the extra."""
        if self._client is None:
            try:
                from temporalio.client import Client
            except ImportError as error:
                raise MissingExtraError(
                    "The Temporal driver needs temporalio, and it is not installed.",
                    "It is not part of the plain installation.",
                    "pip install 'orchestrator-v2[temporal]'",
                ) from error
            options = self._security.options()
            try:
                async with asyncio.timeout(PATIENCE):
                    self._client = await Client.connect(self.address, namespace=self.namespace, **options)
            except (RuntimeError, TimeoutError, ValueError) as error:
                raise self._unreachable(error) from error
        return self._client

    async def check(self) -> None:
        """Raises `DriverUnavailableError` where it does not answer, `ConfigError` where it lacks the namespace."""
        from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest

        service = (await self.client()).workflow_service
        request = DescribeNamespaceRequest(namespace=self.namespace)
        await self._answered(service.describe_namespace(request, timeout=timedelta(seconds=PATIENCE)))

    async def tell(self, run_id: str, kind: str, owner_id: str) -> None:
        """Says that there is news of a run, to its workflow, which is begun where there is none. Raises as `check`.

        Among the runs that wait for a worker the owners take turns, where the server knows fairness.
        """
        from temporalio.common import Priority

        client = await self.client()
        await self._answered(
            client.start_workflow(
                WORKFLOW,
                Start(run_id, longest=self._longest),
                id=run_id,
                task_queue=self.task_queue,
                start_signal=LOOK,
                start_signal_args=[kind],
                priority=Priority(fairness_key=owner_id[:LONGEST_KEY]),
                rpc_timeout=timedelta(seconds=PATIENCE),
            )
        )

    async def _answered(self, call: Any) -> Any:
        from temporalio.service import RPCError, RPCStatusCode

        try:
            async with asyncio.timeout(2 * PATIENCE):
                return await call
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                raise ConfigError(
                    f"Temporal at {self.address} has no namespace '{self.namespace}'.",
                    "It answers, and does not know that name.",
                    f"`temporal operator namespace create -n {self.namespace}` makes it, or set"
                    " ORCHESTRATOR_TEMPORAL_NAMESPACE.",
                ) from error
            raise self._unreachable(error) from error
        except TimeoutError as error:
            raise self._unreachable(error) from error

    def _unreachable(self, error: BaseException) -> OrchestratorError:
        said = " ".join(str(error).split())[:200] or f"no answer within {PATIENCE:.0f} s"
        return DriverUnavailableError(
            f"Temporal at {self.address} does not answer.",
            f"{said}.",
            "Start it there, or set ORCHESTRATOR_TEMPORAL_ADDRESS; runs wait in the journal, and nothing is lost.",
        )
