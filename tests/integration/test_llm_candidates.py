"""Local servers asked which models they have, over real HTTP."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from random import Random

import msgspec

from orchestrator_v2.core.clock import ManualClock
from orchestrator_v2.core.secrets import Secret
from orchestrator_v2.llm.candidates import local_models
from orchestrator_v2.llm.catalog import ModelRow, load_catalog
from orchestrator_v2.llm.factory import LLMFactory
from orchestrator_v2.llm.matching import Needs, match
from orchestrator_v2.testing.fake_openai import FakeOpenAI, Reply

NOW = 1_795_219_200.0  # 2026-11-21
LOCAL = ("lmstudio", "ollama", "vllm")


def factory_at(addresses, **more):
    """A factory whose local providers are at these addresses."""
    catalog = dict(load_catalog())
    for name, base_url in addresses.items():
        catalog[name] = msgspec.structs.replace(catalog[name], base_url=base_url, **more)
    return LLMFactory(clock=ManualClock(NOW, auto=True), random=Random(0), catalog=catalog)


def nobody():
    """The address of a port on which nobody listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{bound.getsockname()[1]}/v1"


def asked(replies=(), *, key_of=lambda name: None, **more):
    """What `ollama` is found to have, with nobody behind the other two; and what its server saw."""

    async def go():
        async with FakeOpenAI(replies) as server:
            factory = factory_at({"ollama": server.base_url, "lmstudio": nobody(), "vllm": nobody()}, **more)
            found = await local_models(factory, key_of, now=NOW)
            await factory.aclose()
            assert server.problems == []
            return {each.provider: each for each in found}, server.requests

    return asyncio.run(go())


def listing(*names):
    return Reply(body=json.dumps({"object": "list", "data": [{"id": name} for name in names]}).encode())


def test_a_local_server_says_which_models_it_has():
    """One request without a key for each; they resolve as any model of that provider, free and on this machine."""
    found, requests = asked([listing("qwen3:8b", "llama3.2")])
    ollama = found["ollama"]
    assert [(info.provider, info.name, info.price is not None) for info in ollama.models] == [
        ("ollama", "llama3.2", True),
        ("ollama", "qwen3:8b", True),
    ]
    assert [(seen.method, seen.path, seen.key) for seen in requests] == [("GET", "/models", "")]
    decision = match(ollama.models, Needs(), "local")
    assert (decision.chosen.model, decision.chosen.local, decision.chosen.cost_of_a_call) == ("llama3.2", True, 0)


def test_a_server_that_is_not_there_has_none_and_says_why():
    """Three in a row cost no more than one, and none of them raises."""
    found, _ = asked([listing("qwen3")])
    for name in ("lmstudio", "vllm"):
        assert found[name].models == ()
        assert found[name].why_none.startswith("There was no good answer from http://127.0.0.1:")
    assert [each for each in sorted(found)] == list(LOCAL)


def test_a_server_that_does_not_answer_is_waited_for_a_second():
    """However many there are: they are asked at once."""

    async def go():
        async with FakeOpenAI([Reply(silence=30.0)] * 3) as server:
            factory = factory_at(dict.fromkeys(LOCAL, server.base_url))
            started = time.perf_counter()
            found = await local_models(factory, now=NOW)
            took = time.perf_counter() - started
            await factory.aclose()
            return found, took

    found, took = asyncio.run(go())
    assert [each.why_none.partition(" from ")[0] for each in found] == ["There was no answer"] * 3
    assert 0.9 < took < 5


def test_what_is_no_list_of_models_is_none_with_a_reason():
    """An error, another body, or nothing to choose from: said, never raised."""
    for reply in (
        Reply(status=500),
        Reply(body=b"[]"),
        Reply(body=b'{"data": 3}'),
        Reply(status=401),
        Reply(reset=True),
    ):
        found, _ = asked([reply])
        assert found["ollama"].models == ()
        assert "no good answer" in found["ollama"].why_none
    found, _ = asked([listing()])
    assert "has no model that writes text" in found["ollama"].why_none


def test_models_that_write_no_text_or_have_no_name_are_left_out():
    """Those that make vectors, by name or by row, that their user has retired, and names that nobody could read."""
    rows = {"vec": ModelRow(embeds=True), "old": ModelRow(retires="2026-01-01", successor="qwen3")}
    found, _ = asked([listing("nomic-embed-text", "qwen3", "vec", "old", " ", "a\u202eb")], models=rows)
    assert [info.name for info in found["ollama"].models] == ["qwen3"]


def test_what_its_user_says_of_a_local_model_holds():
    """A row of models.toml is what makes it fit a demand; without one nothing is known."""
    rows = {"seer": ModelRow(window=32_768, vision=True, tools=True)}
    found, _ = asked([listing("seer", "other")], models=rows)
    decision = match(found["ollama"].models, Needs(vision=True, tools=True, min_context_window=32_000), "local")
    assert decision.chosen.model == "seer"
    assert "It is not known to see pictures." in decision.considered[1].why_not


def test_a_local_server_with_a_key_is_asked_with_it():
    """Its key, and only where there is one."""
    found, requests = asked(
        [listing("qwen3")], key_of=lambda name: Secret("local-key-000") if name == "ollama" else None
    )
    assert found["ollama"].models
    assert requests[0].key == "local-key-000"
