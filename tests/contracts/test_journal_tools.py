"""Tools on the real ledgers: what was under way when a worker died is not called again by the next one."""

from __future__ import annotations

import asyncio

import pytest
from journal_cases import new_run, with_journal

from orchestrator_v2.core.clock import ManualClock
from orchestrator_v2.core.secrets import Secret
from orchestrator_v2.llm.tool_loop import run_with_tools
from orchestrator_v2.llm.tools import ToolRegistry
from orchestrator_v2.llm.types import Completion, LLMConfig, ToolCall
from orchestrator_v2.persistence.journal import StoredJournal
from orchestrator_v2.testing.scripted_llm import scripted_factory

CONFIG = LLMConfig("anthropic", "claude-sonnet-5-5", Secret("sk-ant-api03-planted-canary-value"))


@pytest.mark.parametrize("repeatable", [False, True])
def test_a_tool_that_was_under_way_is_not_called_again(url: str, repeatable: bool) -> None:
    """The first worker vanishes inside the tool; the next finds the round and says that the effect is unknown."""
    clock = ManualClock(1000.0)
    wish = Completion("", "tool_use", tool_calls=(ToolCall("toolu_1", "send", {"amount": 5}),))
    effects: list[int] = []

    async def work(journal: StoredJournal) -> None:
        inside = asyncio.Event()
        first = await new_run(journal)
        tools = ToolRegistry()

        async def send(amount: int) -> str:
            """Sends money."""
            effects.append(amount)
            if len(effects) == 1:
                inside.set()
                await asyncio.Event().wait()
            return "sent"

        tools.add(send, repeatable=repeatable, timeout=600)
        factory, _ = scripted_factory([wish], name="anthropic")
        client = factory.create_client(CONFIG, ledger=journal.ledger(first, None))
        dead = asyncio.ensure_future(run_with_tools(client, "Pay.", tools, key="a"))
        await inside.wait()
        clock.advance(60)
        second = await journal.claim("run_a", owner="w2", lease=30)
        assert second is not None
        factory, scripted = scripted_factory(["Done."], name="anthropic")
        client = factory.create_client(CONFIG, ledger=journal.ledger(second, None))
        answer = await run_with_tools(client, "Pay.", tools, key="a")
        assert (answer.text, effects) == ("Done.", [5, 5] if repeatable else [5])
        assert scripted.calls[0].messages[-1].tool_results[0].is_error is not repeatable
        rows = await journal.ledger(second, None).calls()
        assert [(row.key, row.outcome) for row in rows] == [
            ("a/1", "done"),
            ("a/1/tool/1", "outcome_unknown"),
            ("a/1/tool/1", "done"),
            ("a/2", "done"),
        ]
        dead.cancel()
        await asyncio.gather(dead, return_exceptions=True)

    with_journal(url, work, clock=clock)
