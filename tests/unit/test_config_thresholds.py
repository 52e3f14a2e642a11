"""A budget's thresholds, efforts and fallbacks as they reach the models: what is sent to whom, recorded and charged."""

from __future__ import annotations

import asyncio
import logging
from random import Random
from typing import Any

import pytest

from orchestrator_v2.core.clock import ManualClock
from orchestrator_v2.core.errors import BudgetExceededError, ProviderUnavailableError
from orchestrator_v2.core.secrets import Secret
from orchestrator_v2.core.workflow import BudgetRules, ModelChoice
from orchestrator_v2.llm.chosen import ChosenModel
from orchestrator_v2.llm.client import LLMClient
from orchestrator_v2.llm.factory import LLMFactory, ScriptedLLM
from orchestrator_v2.llm.manager import LLMManager
from orchestrator_v2.llm.retry import RetryConfig
from orchestrator_v2.llm.thrift import Thresholds
from orchestrator_v2.llm.types import Completion, InvokeOptions, LLMConfig, Message
from orchestrator_v2.testing.memory_ledger import MemoryCallLedger

KEY = Secret("sk-ant-api03-planted-canary-value")
DEAR = LLMConfig("anthropic", "claude-opus-5-5", KEY)
CHEAP = LLMConfig("openai", "gpt-6-luna", KEY)
OPTIONS = InvokeOptions(max_tokens=1000)
NAMED = ModelChoice("openai", "gpt-6-luna")


class Bench:
    """Anthropic and OpenAI as two scripts, over one ledger."""

    def __init__(self, *, budget: int | None = None, rules: BudgetRules | None = None, **answers: list[Any]) -> None:
        self.dear = ScriptedLLM(answers.get("dear", ["Dear."]), repeat=True)
        self.cheap = ScriptedLLM(answers.get("cheap", ["Cheap."]), repeat=True)
        self.factory = LLMFactory(clock=ManualClock(auto=True), random=Random(0))
        self.factory.register_provider("anthropic", self.dear)
        self.factory.register_provider("openai", self.cheap)
        self.ledger = MemoryCallLedger(budget=budget)
        self.thresholds = None if rules is None else Thresholds(rules, cheaper=CHEAP if rules.cheaper else None)

    def client(self, config: LLMConfig = DEAR, **more: Any) -> LLMClient:
        parts = {"ledger": self.ledger, "thresholds": self.thresholds, "retry": RetryConfig(max_attempts=1), **more}
        return self.factory.create_client(config, **parts)

    def ask(self, key: str, client: LLMClient | None = None, options: InvokeOptions = OPTIONS) -> Completion:
        asked = (client or self.client()).invoke([Message("user", "Build a clock.")], options, key=key)
        return asyncio.run(asked)


def test_from_the_threshold_on_calls_go_to_the_cheaper_model_and_say_so() -> None:
    """The answer names who made it and why, and costs what that one costs; the ledger's key stays the first model's."""
    bench = Bench(rules=BudgetRules(downgrade=1, cheaper=NAMED))
    first, second = bench.ask("a"), bench.ask("b")
    assert (first.text, first.notes, first.provenance.model) == ("Dear.", (), "claude-opus-5-5")
    assert (second.text, second.provenance.provider, second.provenance.model) == ("Cheap.", "openai", "gpt-6-luna")
    assert "openai/gpt-6-luna answered in place of anthropic/claude-opus-5-5" in second.notes[0]
    assert "are spent" in second.notes[0]
    assert [(row.provider, row.model) for row in bench.ledger.rows] == [("anthropic", "claude-opus-5-5")] * 2
    assert first.cost is not None and second.cost is not None
    assert 0 < second.cost < first.cost / 5
    reserved = [row.reserved or 0 for row in bench.ledger.rows]
    assert reserved[1] < reserved[0] / 5


def test_a_resume_finds_the_answer_of_whichever_model_gave_it() -> None:
    """A call that is asked again in another mood of the budget is the same call: nothing is paid twice."""
    bench = Bench(rules=BudgetRules(downgrade=1, cheaper=NAMED))
    bench.ask("a")
    cheap = bench.ask("b")
    without = Bench()
    without.ledger = bench.ledger
    again = [without.ask("a"), without.ask("b")]
    assert [one.text for one in again] == ["Dear.", cheap.text]
    assert all(one.recorded for one in again)
    assert (len(without.dear.calls), len(without.cheap.calls)) == (0, 0)


def test_the_last_of_a_budget_is_enough_for_the_cheaper_model() -> None:
    """Past the threshold the cheaper model alone is reserved for: what it takes fits where the dear one would not."""
    one_call = Bench()
    one_call.ask("a")
    cost, reserved = one_call.ledger.rows[0].charged or 0, one_call.ledger.rows[0].reserved or 0
    budget = reserved + cost // 2
    bench = Bench(budget=budget, rules=BudgetRules(downgrade=cost, cheaper=NAMED))
    bench.ask("a")
    assert bench.ask("b").text == "Cheap."
    plain = Bench(budget=budget)
    plain.ask("a")
    with pytest.raises(BudgetExceededError):
        plain.ask("b")
        plain.ask("c")


def test_a_model_that_costs_no_more_is_not_replaced() -> None:
    """An agent on the cheap model stays there: the rule saves money or does nothing."""
    bench = Bench(rules=BudgetRules(downgrade=1, cheaper=NAMED))
    client = bench.client(CHEAP)
    assert [bench.ask(key, client).notes for key in ("a", "b")] == [(), ()]


def test_the_alert_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """On the answer that crossed it and in the log; later calls, other clients and a resumed process are quiet."""
    first = Bench()
    first.ask("a")
    cost = first.ledger.rows[0].charged or 0
    bench = Bench(rules=BudgetRules(alert=2 * cost))
    with caplog.at_level(logging.WARNING):
        told = [bench.ask(key, bench.client()).notes for key in ("a", "b", "c")]
    assert [len(notes) for notes in told] == [0, 1, 0]
    assert "you asked to be told from" in told[1][0]
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    resumed = Bench(rules=BudgetRules(alert=2 * cost))
    resumed.ledger = bench.ledger
    assert resumed.ask("d").notes == ()


def test_a_fallback_has_the_effort_that_was_set_for_it() -> None:
    """What the first model is asked for is in the request's hash; another model in its place gets its own words."""
    down = ProviderUnavailableError("The provider is not available.", "down")
    down.unbilled = True
    bench = Bench(dear=[down])
    client = bench.client(fallbacks=[CHEAP], efforts=["high", "low"])
    assert bench.ask("a", client).provenance.kind == "fallback"
    assert bench.dear.calls[0].options.reasoning == "high"
    assert bench.cheap.calls[0].options.reasoning == "low"
    plain = bench.client(fallbacks=[CHEAP], efforts=["high", ""])
    assert bench.ask("b", plain).text == "Cheap."
    assert bench.cheap.calls[1].options.reasoning == ""


def test_a_call_that_says_how_hard_to_think_has_the_last_word() -> None:
    """The configuration fills what the call leaves open."""
    bench = Bench()
    client = bench.client(efforts=["high"])
    bench.ask("a", client)
    bench.ask("b", client, InvokeOptions(max_tokens=1000, reasoning="low"))
    assert [call.options.reasoning for call in bench.dear.calls] == ["high", "low"]


def test_a_replay_finds_what_was_asked_with_an_effort() -> None:
    """The effort is part of the request, so a replay asks with it, too."""
    bench = Bench()
    bench.ask("a", bench.client(efforts=["high"]))
    replay = bench.factory.create_replay(DEAR, bench.ledger, reasoning="high")
    assert bench.ask("a", replay).text == "Dear."


def test_the_manager_switches_between_vendors_by_configuration_alone() -> None:
    """The same call, with an agent's name or none: who answers is the resolver's word, in both kinds of code."""
    bench = Bench()
    models = {"": DEAR, "qa": CHEAP}

    def choose(agent: str = "", *, provider: str = "", model: str = "") -> ChosenModel:
        config = models[agent] if not provider else LLMConfig(provider, model, KEY)
        return ChosenModel(config, agent, reasoning="high" if agent == "qa" else "")

    manager = LLMManager(bench.factory, clock=ManualClock(auto=True), keys={}, choose=choose)

    async def asked() -> list[Completion]:
        return [
            await manager.generate_response("Hello?"),
            await manager.generate_response("Hello?", agent="qa"),
            await manager.generate_response("Hello?", agent="qa", provider="anthropic", model="claude-opus-5-5"),
        ]

    answers = asyncio.run(asked())
    assert [one.provenance.provider for one in answers] == ["anthropic", "openai", "anthropic"]
    assert bench.cheap.calls[0].options.reasoning == "high"
    assert manager.generate_response_sync("Hello?", "qa").text == "Cheap."
