"""What a model honours: sampling and reasoning in each vendor's words, refused before sending where it has none."""

from __future__ import annotations

import pytest

from orchestrator_v2.core.clock import ManualClock
from orchestrator_v2.core.errors import RequestRejectedError
from orchestrator_v2.core.secrets import Secret
from orchestrator_v2.llm.catalog import LEVELS, dialect_of, levels_of, load_catalog, resolve_model
from orchestrator_v2.llm.lane import Lane
from orchestrator_v2.llm.pool import ClientPool
from orchestrator_v2.llm.provider import Connection, Timeouts
from orchestrator_v2.llm.providers import anthropic_request, bedrock, google, openai_request
from orchestrator_v2.llm.types import Image, InvokeOptions, LLMConfig, Message, ToolSpec
from orchestrator_v2.llm.wrappers.recorded import request_hash

NOW = 1_795_219_200.0  # 2026-11-21
ASK = [Message("user", "Build a clock.")]
TOOL = ToolSpec("weather", "The weather.", {"type": "object"})
KEY = Secret("planted-canary-key")


def body_of(provider, model, options, messages=ASK):
    """The body as that provider's wire would send it."""
    info = resolve_model(provider, model, now=NOW)
    if info.row.wire == "openai":
        return dict(openai_request.build_request(info, dialect_of(info, info.row), messages, options))
    connection = Connection(
        LLMConfig(provider, model, KEY), info, ClientPool(), ManualClock(), lambda name: None, Timeouts(), Lane()
    )
    build = {
        "google": google.build_request,
        "bedrock": bedrock.build_body,
        "anthropic": anthropic_request.build_request,
    }
    return dict(build[info.row.wire](connection, messages, options))


def test_the_hash_of_a_recorded_call_is_what_it_was():
    """A call that sets none of the newer options is found under the hash that it was recorded by, to the last digit."""
    options = InvokeOptions(
        max_tokens=77,
        system_prompt="Be brief.",
        temperature=0.5,
        stop_sequences=("END",),
        response_schema={"type": "object"},
        tools=(TOOL,),
        seed=5,
        cache=False,
        native_search=2,
    )
    plain = request_hash("openai", "gpt-4o", ASK, InvokeOptions())
    whole = request_hash("openai", "gpt-4o", [Message("user", "Build a clock.", stable=True)], options)
    assert plain == "e77c992354cbcc666480fa7ed437f8d56dd58923c0e69d49279cc8304ff00aa0"
    assert whole == "0662430ce2ad23345f492043f7a4b091ad00d3ccf68df46642b0d36bb6640d54"
    newer = [InvokeOptions(top_p=0.5), InvokeOptions(reasoning="low"), InvokeOptions()]
    assert len({request_hash("openai", "gpt-4o", ASK, each) for each in newer}) == 3


@pytest.mark.parametrize(
    ("provider", "model", "level", "fields"),
    [
        ("anthropic", "claude-sonnet-5-5", "max", {"output_config": {"effort": "max"}}),
        ("bedrock", "claude-opus", "xhigh", {"output_config": {"effort": "xhigh"}}),
        ("openai", "gpt-6.1-terra", "none", {"reasoning_effort": "none"}),
        ("groq", "groq", "low", {"reasoning_effort": "low"}),
        ("zhipu", "glm-5.3", "low", {"reasoning_effort": "low", "thinking": {"type": "enabled"}}),
        ("zhipu", "glm-5.1", "none", {"thinking": {"type": "disabled"}}),
        ("deepseek", "deepseek", "max", {"reasoning_effort": "max"}),
        ("moonshot", "kimi-k2.6", "none", {"thinking": {"type": "disabled"}}),
        ("mistral", "mistral", "high", {"reasoning_effort": "high"}),
        ("xai", "grok", "medium", {"reasoning_effort": "medium"}),
    ],
)
def test_a_level_is_said_in_its_vendors_words(provider, model, level, fields):
    """What the row says is laid into the request, and nothing else of it changes."""
    plain, asked = (body_of(provider, model, InvokeOptions(reasoning=each)) for each in ("", level))
    assert fields.items() <= asked.items()
    assert {**plain, **fields} == asked


def test_a_level_stands_beside_what_is_there_already():
    """Google's cap and Anthropic's schema are in the same objects, and stay."""
    config = body_of("google", "gemini", InvokeOptions(max_tokens=7, reasoning="high"))["generationConfig"]
    assert config == {"maxOutputTokens": 7, "thinkingConfig": {"thinkingLevel": "HIGH"}}
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    output = body_of("anthropic", "claude", InvokeOptions(response_schema=schema, reasoning="low"))["output_config"]
    assert (output["effort"], output["format"]["type"]) == ("low", "json_schema")


def test_every_level_of_every_model_has_its_words():
    """No level that a row names is without words of its provider; one that tools need is among them."""
    for name, row in load_catalog().items():
        assert set(row.reasoning) <= set(LEVELS), name
        for model, facts in row.models.items():
            assert set(facts.reasoning) <= set(row.reasoning), model
            assert facts.tools_reasoning in ("", *facts.reasoning), model
            assert facts.tools or not facts.tools_reasoning, model


@pytest.mark.parametrize(
    ("provider", "model", "level", "words"),
    [
        ("anthropic", "claude-opus-4-5", "max", "It has low, medium, high."),
        ("anthropic", "claude-haiku-4-5", "low", "no level is known of it"),
        ("openai", "gpt-6.1-sol", "none", "It has low, medium, high, xhigh."),
        ("openai", "gpt-4o", "low", "no level is known of it"),
        ("google", "gemini", "minimal", "It has low, medium, high."),
        ("mistral", "mistral", "low", "It has none, high."),
        ("ollama", "anything", "low", "no level is known of it"),
        ("openai", "gpt-6.1-terra", "very", "It has none, low, medium, high, xhigh."),
    ],
)
def test_a_level_that_a_model_does_not_have_is_refused_with_those_that_it_has(provider, model, level, words):
    """Nothing is sent, and the words to use instead are named."""
    with pytest.raises(RequestRejectedError, match=f"takes no reasoning '{level}'") as caught:
        body_of(provider, model, InvokeOptions(reasoning=level))
    assert words in caught.value.do
    assert caught.value.unbilled


@pytest.mark.parametrize("name", ["temperature", "top_p"])
@pytest.mark.parametrize("provider", ["anthropic", "bedrock", "google", "openai", "deepseek"])
def test_sampling_is_refused_where_it_is_not_honoured(provider, name):
    """A top_p exactly where a temperature is."""
    model = load_catalog()[provider].default
    with pytest.raises(RequestRejectedError, match=f"does not take a {name}"):
        body_of(provider, model, InvokeOptions(**{name: 0.5}))


def test_sampling_is_sent_where_it_is_honoured():
    """In each wire's own spelling; on Bedrock and Anthropic under the version that takes it."""
    both = InvokeOptions(temperature=0.5, top_p=0.9)
    assert body_of("openai", "gpt-4o", both).items() >= {"temperature": 0.5, "top_p": 0.9}.items()
    config = body_of("google", "gemini-3.5-flash", both)["generationConfig"]
    assert (config["temperature"], config["topP"], "top_p" in config) == (0.5, 0.9, False)
    older = body_of("bedrock", "global.anthropic.claude-opus-4-6-v1:0", InvokeOptions(top_p=0.9))
    assert (older["top_p"], older["anthropic_version"]) == (0.9, "bedrock-2023-05-31")


def test_beside_tools_a_model_is_told_the_one_level_at_which_it_takes_them():
    """OpenAI's chat completions take tools of these models with no reasoning alone; another level is refused."""
    assert "reasoning_effort" not in body_of("openai", "gpt-6-luna", InvokeOptions())
    assert body_of("openai", "gpt-6-luna", InvokeOptions(tools=(TOOL,)))["reasoning_effort"] == "none"
    with pytest.raises(RequestRejectedError, match="takes no reasoning 'high' beside tools"):
        body_of("openai", "gpt-6-luna", InvokeOptions(tools=(TOOL,), reasoning="high"))
    assert "reasoning_effort" not in body_of("openai", "gpt-5.2", InvokeOptions(tools=(TOOL,)))


def test_pictures_and_tools_are_refused_where_they_are_known_not_to_be_taken():
    """At the vendor's own server; behind somebody's base_url, and where nothing is known, the server has the say."""
    with pytest.raises(RequestRejectedError, match="takes no tools here"):
        body_of("openai", "gpt-6.1-terra", InvokeOptions(tools=(TOOL,)))
    seen = InvokeOptions(images=(Image(b"png"),))
    with pytest.raises(RequestRejectedError, match="sees no pictures"):
        body_of("groq", "groq", seen)
    with pytest.raises(RequestRejectedError, match="sees no pictures"):
        body_of("groq", "groq", InvokeOptions(), [Message("user", "Look.", images=(Image(b"png"),))])
    assert body_of("mistral", "codestral-2508", seen)["messages"]
    behind = resolve_model("openai", "gpt-6.1-terra", now=NOW, base_url="https://gateway.example/v1")
    sent = openai_request.build_request(behind, dialect_of(behind, behind.row), ASK, InvokeOptions(tools=(TOOL,)))
    assert sent["tools"]


def test_levels_are_told_from_the_least_upwards():
    """As people read them, whatever the order in the row."""
    assert levels_of(resolve_model("zhipu", "glm-5.2", now=NOW)) == LEVELS
    assert levels_of(resolve_model("groq", "some-model", now=NOW)) == ()
