"""What Temporal is told: no key and no contents in any history, and a history that replays to the same decisions.

How drivers behave is `test_driver_contract.py`, what Temporal's own faults lead to `test_temporal_faults.py`.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("temporalio")
sys.path.insert(0, str(Path(__file__).parents[1] / "chaos"))

from canaries import OPERATORS, USERS, forms, hits
from driver_cases import DIAMOND, REVIEWED, Driven, driven, wait_for
from model_server import ModelServer
from postgres_server import PostgresServer
from temporal_server import TemporalServer
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowHistory
from temporalio.worker import Replayer

from orchestrator_v2.durable.temporal_messages import LOOK, WORKFLOW, Start
from orchestrator_v2.durable.temporal_workflow import RunWorkflow
from orchestrator_v2.testing.fake_anthropic import Reply

pytestmark = [pytest.mark.postgres]
# In the brief, so in prompts and files: contents, which are none of Temporal's business.
CONTENT = "quokka-ledger-7719"
WORDS = {"the user's key": USERS, "the operator's key": OPERATORS, "the brief": CONTENT}


@pytest.fixture(scope="module")
def it(
    tmp_path_factory: pytest.TempPathFactory, provider: ModelServer, postgres: PostgresServer, temporal: TemporalServer
) -> Iterator[Driven]:
    home = tmp_path_factory.mktemp("history")
    with driven(home, provider, postgres.fresh_url(), temporal, ANTHROPIC_API_KEY=OPERATORS) as found:
        yield found


def histories(temporal: TemporalServer, queue: str) -> list[WorkflowHistory]:
    """Every history of that task queue, runs of a workflow that went on with a new history included."""

    async def read() -> list[WorkflowHistory]:
        client = await Client.connect(temporal.address)
        found = client.list_workflows(f"TaskQueue = '{queue}'")
        return [history async for history in found.map_histories()]

    return asyncio.run(read())


def written(found: list[WorkflowHistory]) -> bytes:
    """All events with all their payloads, as they went over the wire and as JSON."""
    raw = b"\n".join(event.SerializeToString() for history in found for event in history.events)
    return raw + "\n".join(history.to_json() for history in found).encode() + _decoded(found)


def _decoded(found: list[WorkflowHistory]) -> bytes:
    """The bytes of each payload, wherever in an event it stands."""
    from temporalio.api.common.v1 import Payload

    def walk(message: Any) -> Iterator[bytes]:
        if isinstance(message, Payload):
            yield message.data
            yield b"".join(message.metadata.values())
        for field, value in message.ListFields():
            if field.message_type is None:
                continue
            if field.message_type.GetOptions().map_entry:
                values = [each for each in value.values() if hasattr(each, "ListFields")]
            else:
                values = list(value) if field.is_repeated else [value]
            for each in values:
                yield from walk(each)

    return b"\n".join(part for history in found for event in history.events for part in walk(event))


@pytest.mark.timeout(240)
def test_no_key_and_no_content_is_in_any_history(it: Driven, provider: ModelServer, temporal: TemporalServer) -> None:
    """Runs that go well, that a provider answers with the key, that wait for a person: ids are all that is told."""
    it.client.post(
        "/users/me/provider-settings", {"llm_provider": "anthropic", "api_key": USERS, "base_url": provider.url}
    )
    provider.fresh()
    it.until(it.begin(mode="real", brief=f"A counter named {CONTENT}"), "completed")
    assert set(provider.keys) == {USERS}
    assert any(CONTENT in seen.prompt for seen in provider.fake.requests)
    for status in (401, 400, 500, 429):
        provider.fresh(Reply(status=status, message=f"{USERS} {CONTENT}", headers={"retry-after": "1"}))
        run_id = it.begin(mode="real", brief=CONTENT)
        it.client.standing(run_id)
        it.client.post(
            "/users/me/provider-settings", {"llm_provider": "anthropic", "api_key": USERS, "base_url": provider.url}
        )
        if it.client.get(f"/runs/{run_id}")["run"]["status"] != "failed":
            it.client.post(f"/runs/{run_id}/cancel")
    reviewed = it.begin(REVIEWED, brief=CONTENT)
    review = it.until(reviewed, "waiting_review")["reviews"][0]
    reason = {"decision": "reject", "content": review["content"], "reason": f"{CONTENT} {USERS}"}
    it.client.post(f"/runs/{reviewed}/reviews", reason)
    it.client.standing(reviewed, until=lambda now: bool(now["reviews"]) and now["reviews"] != [review])
    it.client.post(f"/runs/{reviewed}/cancel")
    it.until(reviewed, "cancelled")
    wait_for(lambda: len(histories(temporal, "history0")) >= 6)
    found = histories(temporal, "history0")
    assert sum(len(history.events) for history in found) > 100
    assert hits(written(found), WORDS) == []
    assert reviewed.encode() in written(found)


@pytest.mark.parametrize("form", forms(USERS))
def test_a_key_in_a_history_would_be_found(temporal: TemporalServer, form: str) -> None:
    """The positive control: one that is there is seen, in each of the six forms."""

    async def plant() -> None:
        client = await Client.connect(temporal.address)
        words = forms(USERS)[form][0]  # bytes go over the wire as they are
        await client.start_workflow(
            WORKFLOW, Start("planted"), id=f"planted-{form}", task_queue=f"planted-{form}", start_signal=LOOK,
            start_signal_args=[words],
        )  # fmt: skip

    asyncio.run(plant())
    wait_for(lambda: bool(histories(temporal, f"planted-{form}")))
    assert f"the user's key ({form})" in hits(written(histories(temporal, f"planted-{form}")), WORDS)


@pytest.mark.timeout(240)
def test_a_history_replays_to_the_same_decisions(it: Driven, temporal: TemporalServer) -> None:
    """The workflow is deterministic: each history of this module, replayed in the sandbox, asks for the same."""
    it.until(it.begin(), "completed")
    found = [history for history in histories(temporal, "history0") if history.events]
    assert found

    async def replay() -> None:
        replayer = Replayer(workflows=[RunWorkflow])
        for history in found:
            await replayer.replay_workflow(history)

    asyncio.run(replay())


@pytest.mark.chaos
@pytest.mark.timeout(240)
def test_a_long_run_goes_on_with_a_new_history(it: Driven, temporal: TemporalServer) -> None:
    """A history is not let grow: the workflow is continued as new, with the same worker, and no task is done twice."""

    async def begin() -> list[Any]:
        client = await Client.connect(temporal.address)
        handle = await client.start_workflow(
            WORKFLOW, Start(run_id, longest=15), id=run_id, task_queue="history0", start_signal=LOOK,
            start_signal_args=["driven"],
        )  # fmt: skip
        assert await asyncio.wait_for(handle.result(), 60) == "completed"
        return [each async for each in client.list_workflows(f"WorkflowId = '{run_id}'")]

    run_id = it.unstarted(DIAMOND)
    executions = asyncio.run(begin())
    again = [each for each in executions if each.status is WorkflowExecutionStatus.CONTINUED_AS_NEW]
    assert len(again) >= 2
    it.until(run_id, "completed")
    told = [each["type"] for each in it.events(run_id)]
    assert (told.count("TaskCompleted"), told.count("RunResumed")) == (4, 0)
