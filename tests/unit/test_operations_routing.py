"""Which model answers an operation: named, configured, or the cheapest that fits; and what the metadata says of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest
from operation_cases import GOOD, CountWords, request, settings

from orchestrator_v2.bootstrap import lay_foundation, settling_of
from orchestrator_v2.config.loader import load_settings
from orchestrator_v2.core import operation_errors as oe
from orchestrator_v2.core.accounts import Credential
from orchestrator_v2.core.clock import SystemClock
from orchestrator_v2.core.errors import OrchestratorError
from orchestrator_v2.core.usage import nano_usd
from orchestrator_v2.key_sources import SettingsKeys
from orchestrator_v2.llm.catalog import load_catalog
from orchestrator_v2.llm.factory import LLMFactory
from orchestrator_v2.operation_bootstrap import open_operations
from orchestrator_v2.operation_routing import OperationRouter
from orchestrator_v2.operations.failures import in_our_words
from orchestrator_v2.operations.ports import LOCAL_CALLER, Caller, Route
from orchestrator_v2.testing.fake_openai import FakeOpenAI, Reply

KEYS = {"ANTHROPIC_API_KEY": "sk-ant-0123456789abcdef", "OPENAI_API_KEY": "sk-0123456789abcdefghij"}


def routed(
    home: Path,
    environ: Mapping[str, str] = KEYS,
    *,
    caller: Caller = LOCAL_CALLER,
    sees: bool = False,
    settings: Mapping[str, object] | None = None,
    **asked: Any,
) -> Route:
    """The route of a request on these settings; nothing is sent."""

    async def go() -> Route:
        given = {"data_dir": str(home / "data"), "database_url": "memory:", **(settings or {})}
        loaded = load_settings(given, environ, home, home)
        base = await lay_foundation(loaded, clock=None, ids=None, random=Random(1), probe=None, factory=None)
        keys = SettingsKeys(loaded, None, base.models.needs_key)
        router = OperationRouter(loaded, settling_of(base, None), base.models, keys, base.clock)
        try:
            return await router.route(request(**asked), caller, sees=sees)
        finally:
            await base.models.aclose()
            await base.journal.close()

    return asyncio.run(go())


def refused(*given: Any, **more: Any) -> OrchestratorError:
    with pytest.raises(OrchestratorError) as caught, in_our_words({}):
        routed(*given, **more)
    return caught.value


def test_a_named_model_is_the_one_that_answers(tmp_path: Path) -> None:
    """By provider and name, by name alone, or by an alias; naming one is asking for a real answer."""
    for name in ("openai/gpt-6-luna", "gpt-6-luna"):
        found = routed(tmp_path, model_id=name)
        assert found.choice is not None
        assert (found.mode, found.choice.provider, found.choice.model) == ("real", "openai", "gpt-6-luna")
        assert found.decision["by"] == "model_id" and found.prices
    alias = routed(tmp_path, model_id="claude-haiku")
    assert alias.choice is not None and alias.choice.provider == "anthropic"


def test_where_nothing_is_asked_the_configured_model_answers(tmp_path: Path) -> None:
    """A length is no demand on the model; the settings' model is taken, and the decision says so."""
    given = {"mode": "real", "provider": "openai", "model": "gpt-6-luna"}
    found = routed(tmp_path, settings=given, sampling={"max_tokens": 50})
    assert found.choice is not None and found.choice.model == "gpt-6-luna"
    assert found.decision["by"] == "configuration"


def test_a_demand_is_met_by_the_cheapest_that_fits(tmp_path: Path) -> None:
    """Of the models with a key; every one that was looked at is told, with what it lacks."""
    found = routed(tmp_path, capabilities={"vision": True, "tools": True})
    decision = found.decision
    assert found.choice is not None and decision["by"] == "matching"
    fitting = [it for it in decision["considered"] if it["fits"]]
    assert fitting[0]["model"] == f"{found.choice.provider}/{found.choice.model}"
    costs = [it["usd_a_call"] for it in fitting if it["usd_a_call"] is not None]
    assert costs == sorted(costs) and len(costs) > 1
    assert {it["model"].partition("/")[0] for it in decision["considered"]} == {"anthropic", "openai"}


def test_pictures_ask_for_a_model_that_sees(tmp_path: Path) -> None:
    """An operation that sends pictures is matched as if vision had been asked for."""
    found = routed(tmp_path, sees=True, run_mode="real")
    assert found.decision["by"] == "matching"


def test_where_none_fits_all_that_was_looked_at_is_told(tmp_path: Path) -> None:
    """A window that no model has: 503, with the candidates in the context."""
    error = refused(tmp_path, capabilities={"min_context_window": 10**9})
    assert isinstance(error, oe.ModelUnavailableError)
    considered = error.context["routing"]["considered"]
    assert considered and all(it["why_not"] for it in considered)


def test_a_named_model_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    """It is not replaced behind one's back: 400 says what it lacks."""
    error = refused(tmp_path, model_id="claude-haiku", capabilities={"min_context_window": 10**9})
    assert isinstance(error, oe.InvalidRequestError) and "window" in str(error)


def test_an_unknown_model_is_told_with_the_nearest(tmp_path: Path) -> None:
    """A typing mistake in a model's name costs one look."""
    error = refused(tmp_path, model_id="anthropic/claude-haikuu")
    assert isinstance(error, oe.InvalidRequestError) and "claude-haiku" in str(error)


def test_without_any_key_auto_is_simulated_and_real_is_an_error(tmp_path: Path) -> None:
    """Nobody else's key and no keyless cloud is used unasked."""
    assert routed(tmp_path, {}, run_mode="auto").mode == "simulated"
    assert isinstance(refused(tmp_path, {}, run_mode="real"), oe.AuthenticationFailedError)
    assert isinstance(refused(tmp_path, {}, capabilities={"tools": True}), oe.AuthenticationFailedError)


def test_a_mode_that_was_set_to_simulated_is_kept_and_the_model_is_told_to_be_unused(tmp_path: Path) -> None:
    """Who has set simulated, as in CI, pays nothing by naming a model; the answer warns."""
    found = routed(tmp_path, settings={"mode": "simulated"}, model_id="claude-haiku")
    assert found.mode == "simulated" and found.warnings


def test_fallbacks_are_settled_with_their_prices(tmp_path: Path) -> None:
    """Each is checked and priced now, not when the first model fails."""
    found = routed(tmp_path, model_id="claude-haiku", fallbacks=["openai/gpt-6-luna"])
    assert found.choice is not None
    assert [it.model for it in found.choice.fallbacks] == ["gpt-6-luna"]
    assert set(found.prices) >= {found.choice.model, "gpt-6-luna"}
    error = refused(
        tmp_path,
        {"ANTHROPIC_API_KEY": KEYS["ANTHROPIC_API_KEY"]},
        model_id="claude-haiku",
        fallbacks=["openai/gpt-6-luna"],
    )
    assert isinstance(error, oe.AuthenticationFailedError)


def test_the_requests_budget_wins_over_the_settings(tmp_path: Path) -> None:
    """A ceiling that is asked for holds for that request alone."""
    found = routed(tmp_path, settings={"budget_usd": 5.0}, model_id="claude-haiku", budget_usd=0.25)
    assert found.budget == nano_usd(0.25)
    assert routed(tmp_path, settings={"budget_usd": 5.0}, model_id="claude-haiku").budget == nano_usd(5)


def stored(provider: str) -> Credential:
    return Credential(f"cred_{provider}", "usr_ann", provider, "", "", "", "api_key", "cdef", "f" * 16, 1.0)


def test_a_user_has_the_models_of_their_own_keys_and_entitlements_only(tmp_path: Path) -> None:
    """The operator's keys do not count for a server's user, nor does a model that is not open to them."""
    ann = Caller("usr_ann", (stored("openai"),), ("openai/*luna*",))
    found = routed(tmp_path, caller=ann, capabilities={"json_schema": True})
    assert {it["model"] for it in found.decision["considered"]} == {"openai/gpt-6-luna", "openai/gpt-5.6-luna"}
    assert isinstance(refused(tmp_path, caller=ann, model_id="claude-haiku"), oe.AuthenticationFailedError)
    assert isinstance(refused(tmp_path, caller=ann, model_id="openai/gpt-6-sol"), oe.PermissionDeniedError)
    assert routed(tmp_path, caller=Caller("usr_bob", ())).mode == "simulated"


def test_a_model_on_this_machine_answers_first_where_that_is_preferred(tmp_path: Path) -> None:
    """Its server says which models it has, one of them answers for nothing, and the decision names them; where nobody
    listens, the cloud's cheapest does, with a warning."""

    def listed(seen: Any) -> Reply | str:
        models = {"object": "list", "data": [{"id": "qwen3:8b"}]}
        return Reply(body=json.dumps(models).encode()) if seen.method == "GET" else GOOD

    async def go() -> Any:
        async with FakeOpenAI(default=listed) as server:
            catalog = dict(load_catalog())
            for name in ("ollama", "lmstudio", "vllm"):
                there = server.base_url if name == "ollama" else "http://127.0.0.1:9/v1"
                catalog[name] = msgspec.structs.replace(catalog[name], base_url=there)
            factory = LLMFactory(clock=SystemClock(), random=Random(1), catalog=catalog)
            asked = request(model_preference="local")
            async with await open_operations(settings(tmp_path), handlers=(CountWords,), factory=factory) as operations:
                return await operations.execute(asked), server.problems

    answer, problems = asyncio.run(go())
    assert problems == [] and answer.results == {"words": 2, "longest": "hello"}
    assert answer.metadata.models_used == ("ollama/qwen3:8b",) and answer.metadata.cost_usd == 0
    assert answer.metadata.routing["considered"][0]["local"] is True
    cloud = routed(tmp_path, model_preference="local")
    assert cloud.choice is not None and any("No local model fits" in words for words in cloud.warnings)
