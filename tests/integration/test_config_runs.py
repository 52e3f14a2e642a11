"""Runs by a project's configuration: real servers of two vendors, the whole stack, a journal that is resumed from."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest
from real_mode import SHORT, done_calls, request

from orchestrator_v2 import Orchestrator, open_orchestrator
from orchestrator_v2.config.loader import LoadedSettings, load_settings
from orchestrator_v2.core.accounts import Credential
from orchestrator_v2.core.errors import ConfigError, CredentialMissingError
from orchestrator_v2.core.events import RunStarted
from orchestrator_v2.core.usage import nano_usd
from orchestrator_v2.core.workflow import Phase, Workflow
from orchestrator_v2.engine.phase_graph import PhaseGraph
from orchestrator_v2.testing.fake_anthropic import FakeAnthropic
from orchestrator_v2.testing.fake_anthropic import Reply as AnthropicReply
from orchestrator_v2.testing.fake_openai import FakeOpenAI
from orchestrator_v2.testing.worked_answers import worked_answer, worked_reply

KEYS = {"ANTHROPIC_API_KEY": "sk-ant-canary-of-config-000001", "OPENAI_API_KEY": "sk-canary-of-config-0000000002"}
CHAIN = PhaseGraph(
    Workflow(
        "chain",
        tuple(
            Phase(f"step{n}", "architect", needs=(f"step{n - 1}",) if n else (), outputs=(f"docs/step{n}.md",))
            for n in range(4)
        ),
    )
)


class Scene:
    """A project folder beside a data directory, and two vendors' servers."""

    def __init__(self, root: Path, claude: FakeAnthropic, gpt: FakeOpenAI) -> None:
        self.root, self.claude, self.gpt = root, claude, gpt
        self.folder = root / "project"
        (self.folder / ".bmad").mkdir(parents=True, exist_ok=True)
        self.environ = {**KEYS, "ORCHESTRATOR_MODEL_ORIGINS": f"{claude.base_url},{gpt.base_url}"}

    def write(self, text: str) -> None:
        """`CLAUDE` and `GPT` stand for the servers."""
        text = text.replace("CLAUDE", self.claude.base_url).replace("GPT", f"{self.gpt.base_url}")
        (self.folder / ".bmad" / "project-config.yaml").write_text(text)

    def loaded(self, **more: Any) -> LoadedSettings:
        values = {"data_dir": str(self.root / "data"), "mode": "real", "retry_initial": 0.01, "retry_max_delay": 0.05}
        environ = {**self.environ, **more}
        return load_settings({**values, "durability": "normal"}, environ, self.folder, self.root)

    async def open(self, **more: Any) -> Orchestrator:
        return await open_orchestrator(self.loaded(**more), random=Random(1))


def on(tmp_path: Path, work: Callable[[Scene], Awaitable[Any]], **servers: Any) -> Any:
    async def go() -> Any:
        claude = FakeAnthropic(default=servers.get("claude", worked_reply))
        gpt = FakeOpenAI(default=servers.get("gpt", lambda seen: worked_answer(seen.prompt)))
        async with claude, gpt:
            result = await work(Scene(tmp_path, claude, gpt))
            assert claude.problems == [] and gpt.problems == []
            return result

    return asyncio.run(go())


async def started(orchestrator: Orchestrator, run_id: str) -> RunStarted:
    return next(it.event for it in await orchestrator.events(run_id) if isinstance(it.event, RunStarted))


TWO = """\
llm_provider: anthropic
model: haiku
base_url: CLAUDE
reasoning: low
agent_assignments:
  dev:
    provider: openai
    model: gpt-6-luna
    base_url: GPT
    api_key: ${OPENAI_API_KEY}
    reasoning: high
"""


def test_each_agent_works_with_the_model_that_the_project_gives_it(tmp_path: Path) -> None:
    """Two phases, two vendors, each with its own key and effort; no key reaches the other's server or the journal."""

    async def work(scene: Scene) -> None:
        scene.write(TWO)
        async with await scene.open() as orchestrator:
            state = await orchestrator.run(request(workflow=SHORT))
            assert (state.status, state.stopped) == ("completed", "")
            rows = await done_calls(orchestrator, state.run_id)
            assert {(row.key.partition("/")[0], row.provider, row.model) for row in rows} == {
                ("first", "anthropic", "claude-haiku-5-5"),
                ("second", "openai", "gpt-6-luna"),
            }
            begun = await started(orchestrator, state.run_id)
            assert begun.default is not None and begun.default.reasoning == "low"
            assert begun.assignments["developer"].key == "OPENAI_API_KEY"
            assert set(begun.prices) == {"claude-haiku-5-5", "gpt-6-luna"}
            assert "canary" not in repr(await orchestrator.events(state.run_id)) + repr(rows)
        assert {seen.key or seen.headers.get("x-api-key") for seen in scene.claude.requests} == {
            KEYS["ANTHROPIC_API_KEY"]
        }
        assert {seen.key for seen in scene.gpt.requests} == {KEYS["OPENAI_API_KEY"]}
        assert all("canary-of-config-0000000002" not in repr(seen) for seen in scene.claude.requests)
        assert {seen.body.get("reasoning_effort") for seen in scene.gpt.requests} == {"high"}

    on(tmp_path, work)


def test_what_the_call_names_wins_over_the_project(tmp_path: Path) -> None:
    """A run for which a model is named has that one, for all of its agents; a mode that is asked for counts, too."""

    async def work(scene: Scene) -> None:
        scene.write(TWO)
        async with await scene.open() as orchestrator:
            state = await orchestrator.run(request(workflow=SHORT, provider="anthropic", model="claude-opus-5-5"))
            assert {row.model for row in await done_calls(orchestrator, state.run_id)} == {"claude-opus-5-5"}
            given = {"developer": "anthropic/claude-sonnet-5-5"}
            state = await orchestrator.run(request(workflow=SHORT, assignments=given))
            assert {row.model for row in await done_calls(orchestrator, state.run_id)} == {
                "claude-haiku-5-5",
                "claude-sonnet-5-5",
            }
            assert (await orchestrator.run(request(workflow=SHORT, mode="simulated"))).usage.cost == 0
        assert scene.gpt.requests == []

    on(tmp_path, work)


def test_a_run_keeps_its_models_and_looks_its_keys_up_anew(tmp_path: Path) -> None:
    """Resumed after the file changed it goes on as it began; without the key, or where it may not go now, it waits."""

    async def work(scene: Scene) -> None:
        scene.write(TWO)
        async with await scene.open() as orchestrator:
            state = await orchestrator.run(request(workflow=SHORT, tasks=1))
            assert state.status != "completed"
        scene.write("llm_provider: anthropic\nmodel: sonnet\nbase_url: CLAUDE\n")
        async with await scene.open(OPENAI_API_KEY="") as without:
            state = await without.resume(state.run_id)
            assert state.status == "needs_credential"
            assert "${OPENAI_API_KEY} is not set" in state.stopped
        async with await scene.open(ORCHESTRATOR_MODEL_ORIGINS=scene.claude.base_url) as unlisted:
            state = await unlisted.resume(state.run_id)
            assert state.status == "needs_credential"
            assert scene.gpt.base_url in state.stopped and "may not be sent" in state.stopped
        assert scene.gpt.requests == []
        async with await scene.open() as orchestrator:
            state = await orchestrator.resume(state.run_id)
            assert (state.status, state.stopped) == ("completed", "")
            assert {row.model for row in await done_calls(orchestrator, state.run_id)} == {
                "claude-haiku-5-5",
                "gpt-6-luna",
            }

    on(tmp_path, work)


def test_a_fallback_answers_and_the_run_says_so(tmp_path: Path) -> None:
    """The first vendor is down: the second does the work with its own key and price, and the artifacts tell it."""

    async def work(scene: Scene) -> None:
        scene.write(
            "llm_provider: anthropic\nmodel: haiku\nbase_url: CLAUDE\n"
            "fallbacks:\n  - {provider: openai, model: gpt-6-luna, base_url: GPT, reasoning: low}\n"
        )
        async with await scene.open() as orchestrator:
            state = await orchestrator.run(request(workflow=SHORT, budget=nano_usd(50)))
            assert (state.status, state.stopped) == ("completed", "")
            made = {str(a.provenance) for phase in state.phases.values() for a in phase.artifacts}
            assert made == {"fallback (openai/gpt-6-luna)"}
        assert {seen.body.get("reasoning_effort") for seen in scene.gpt.requests} == {"low"}

    on(tmp_path, work, claude=AnthropicReply(status=401, message="no"))


def test_a_budget_is_told_of_then_saved_on_and_never_exceeded(tmp_path: Path) -> None:
    """Alert, downgrade and block are shares of the limit; a resume pays for nothing twice, and the thresholds hold."""

    async def work(scene: Scene) -> None:
        scene.write(
            "llm_provider: anthropic\nmodel: opus\nbase_url: CLAUDE\n"
            "budget:\n  limit_usd: 20\n  alert_at: 0.0001\n  downgrade_at: 0.001\n  block_at: 0.9\n"
            "  downgrade_to: {provider: openai, model: gpt-6-luna, base_url: GPT}\n"
        )
        async with await scene.open() as orchestrator:
            state = await orchestrator.run(request(workflow=CHAIN, tasks=2))
            begun = await started(orchestrator, state.run_id)
            assert set(begun.prices) == {"claude-opus-5-5", "gpt-6-luna"}
            assert (state.budget, begun.rules.alert, begun.rules.downgrade) == (
                nano_usd(18),
                nano_usd(0.002),
                nano_usd(0.02),
            )
        async with await scene.open() as orchestrator:
            before = len(scene.claude.requests) + len(scene.gpt.requests)
            state = await orchestrator.resume(state.run_id)
            while state.status != "completed":
                assert not state.stopped
                state = await orchestrator.resume(state.run_id)
            rows = await done_calls(orchestrator, state.run_id)
            assert len(rows) == len(scene.claude.requests) + len(scene.gpt.requests) > before
            models = [row.completion.provenance.model for row in rows if row.completion]
            assert {"claude-opus-5-5", "gpt-6-luna"} == set(models)
            assert models == sorted(models), "once the threshold is passed there is no way back"
            assert {row.model for row in rows} == {"claude-opus-5-5"}
            told = repr(await orchestrator.events(state.run_id))
            assert told.count("you asked to be told from") >= 1
            assert "answered in place of anthropic/claude-opus-5-5" in told

    def thrifty(seen: Any) -> Any:
        reply = worked_reply(seen)
        return msgspec.structs.replace(reply, usage={"input_tokens": 400, "output_tokens": 400})

    on(tmp_path, work, claude=thrifty)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "model: own-model\nbase_url: CLAUDE\nbudget: {limit_usd: 5, alert_at: 0.5}\n",
            "price of the model 'own-model'",
        ),
        ("model: haiku\nbase_url: CLAUDE\nbudget: {alert_at: 0.5}\n", "there is none"),
        (
            "model: haiku\nbase_url: CLAUDE\nbudget: {limit_usd: 5, downgrade_at: 0.5, downgrade_to: groq/x}\n",
            "Real mode needs a key for groq",
        ),
        ("model: haiku\nbase_url: CLAUDE\nfallbacks: [groq/x]\n", "Real mode needs a key for groq"),
        (
            "model: haiku\nbase_url: CLAUDE\nagent_assignments:\n  qa: {provider: openai, api_key: '${NOT_SET}'}\n",
            "The model of agent 'qa' cannot be used. Reason: ${NOT_SET} is not set.",
        ),
    ],
)
def test_what_could_not_be_kept_is_refused_before_the_run_begins(tmp_path: Path, text: str, words: str) -> None:
    """Thresholds that nobody can watch, keys that are not there: told at once, and no run is made."""

    async def work(scene: Scene) -> None:
        scene.write(text)
        async with await scene.open() as orchestrator:
            with pytest.raises((ConfigError, CredentialMissingError)) as caught:
                await orchestrator.run(request(workflow=SHORT))
            assert words in str(caught.value)
            assert await orchestrator.rows() == []
        assert scene.claude.requests == []

    on(tmp_path, work)


def test_batches_take_neither_fallbacks_nor_a_cheaper_model(tmp_path: Path) -> None:
    """A batch goes to one model: what the file says against it is told, not left out in silence."""

    async def work(scene: Scene) -> None:
        for text in (
            "fallbacks: [openai/gpt-6-luna]\n",
            "budget: {limit_usd: 1, downgrade_at: 0.1, downgrade_to: openai/gpt-6-luna}\n",
        ):
            scene.write(f"model: haiku\nbase_url: CLAUDE\n{text}")
            async with await scene.open() as orchestrator:
                with pytest.raises(ConfigError, match="A batch goes to one model"):
                    await orchestrator.run(request(workflow=SHORT, batch=True))

    on(tmp_path, work)


def test_a_servers_users_take_nothing_of_a_project_file(tmp_path: Path) -> None:
    """Their models, budgets and keys are their own, whatever lies in the folder that the server was started in."""

    async def work(scene: Scene) -> None:
        scene.write(TWO + "fallbacks: [openai/gpt-6-luna]\nbudget: {limit_usd: 0.5, alert_at: 0.5}\nmode: real\n")
        loaded = scene.loaded()
        stored = Credential("key_1", "ann", "anthropic", "", "", "", "api_key", "0001", "f" * 12, 1.0)
        async with await open_orchestrator(loaded) as orchestrator:
            new = orchestrator._parts.settle(request(workflow=SHORT, keyring=(stored,), owner_id="ann", mode="auto"))
            assert (new.mode, new.assignments, new.default, new.budget) == ("real", {}, None, None)
            assert (new.base_url, new.rules.alert) == ("", None)

    on(tmp_path, work)


def test_a_key_that_is_given_is_not_sent_where_a_file_says(tmp_path: Path) -> None:
    """`open_orchestrator(key=…)`: the project's servers are not for it, and its agents' models neither."""
    from orchestrator_v2.core.secrets import Secret

    async def work(scene: Scene) -> None:
        scene.write(TWO)
        async with await open_orchestrator(scene.loaded(), key=Secret("sk-ant-given-0000000")) as orchestrator:
            new = orchestrator._parts.settle(request(workflow=SHORT))
            assert (new.provider, new.base_url, new.assignments) == ("anthropic", "", {})

    on(tmp_path, work)


def test_an_estimate_counts_each_agents_own_price_and_needs_no_key(tmp_path: Path) -> None:
    """What a phase may cost is by the model that will work on it."""

    async def work(scene: Scene) -> None:
        scene.write(TWO.replace("gpt-6-luna", "gpt-6-sol"))
        async with await scene.open(ANTHROPIC_API_KEY="", OPENAI_API_KEY="") as orchestrator:
            name, own = await orchestrator.estimate(request(workflow=SHORT))
            assert name == "anthropic/claude-haiku-5-5"
            _, same = await orchestrator.estimate(request(workflow=SHORT, provider="anthropic", model="haiku"))
            assert own[0] == same[0]
            assert own[1] != same[1]

    on(tmp_path, work)
