"""From what a user asked for to a run that can be started: brief, workflow, mode, model and prices are settled here.

Nothing is written and nothing is sent; what is wrong is an `InputError` now, not a failed run later. The parts
that the settled run will use are made by `bootstrap.py`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from importlib import resources
from pathlib import Path

import msgspec

from orchestrator_v2.agents.estimating import Past, PhaseEstimate, estimate, history_of
from orchestrator_v2.agents.roles import ROLES, resolve_role
from orchestrator_v2.agents.templates import prompts_digest
from orchestrator_v2.config.loader import LoadedSettings
from orchestrator_v2.core.errors import BriefError, ConfigError, UnknownNameError, WorkflowError
from orchestrator_v2.core.secrets import REDACTED, Secret
from orchestrator_v2.core.usage import nano_usd
from orchestrator_v2.core.workflow import ModelChoice
from orchestrator_v2.engine.engine import NewRun
from orchestrator_v2.engine.phase_graph import PhaseGraph
from orchestrator_v2.engine.workflow_file import load_workflow
from orchestrator_v2.key_sources import KeySource, OwnKeys, SettingsKeys, check_entitled
from orchestrator_v2.llm.prices import parse_price_row
from orchestrator_v2.llm.tokens import estimate_tokens
from orchestrator_v2.llm.types import LLMConfig
from orchestrator_v2.parts import RunRequest

# A brief is read whole by every agent; past this it would not fit beside the work itself (bytes).
LARGEST_BRIEF = 1 << 20
_NAME_LENGTH = 80
# What somebody may send to a server as a workflow: checking takes the square of the phases, and others wait for it.
_LARGEST_WORKFLOW, _MOST_PHASES = 64 * 1024, 200
_A_NAME = re.compile(r"[A-Za-z0-9_-]+")
SIMULATED = "simulated"


# A configuration to its model's real name, and the price row to pin (empty: unknown).
Resolve = Callable[[LLMConfig], tuple[str, str]]


class Backing(msgspec.Struct, frozen=True):
    """Who answers in a run of this mode: the configuration of its model, and the price row to pin."""

    mode: str
    config: LLMConfig | None = None
    model: str = ""
    prices: dict[str, str] = {}


def workflow_names() -> list[str]:
    """The built-in workflows."""
    folder = resources.files("orchestrator_v2").joinpath("workflows")
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def load_workflow_named(name: str, *, checks: Collection[str]) -> PhaseGraph:
    """A built-in workflow by name, or one from a YAML file by its path; `checks` are the names of evidence checks.

    Raises `WorkflowError`, `UnknownNameError`, `ConfigError`.
    """
    agents = {alias for role in ROLES.values() for alias in (role.name, *role.aliases)}
    if name in workflow_names():
        text = resources.files("orchestrator_v2").joinpath("workflows", f"{name}.yaml").read_text("utf-8")
        return load_workflow(text, source=name, agents=agents, checks=checks)
    path = Path(name)
    if path.suffix not in {".yaml", ".yml"} and not path.exists():
        raise UnknownNameError("workflow", name, workflow_names(), "A file's path ends in .yaml.")
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"The workflow file '{name}' cannot be read.",
            f"{getattr(error, 'strerror', None) or 'It is not UTF-8'}.",
            "Give a YAML file.",
        ) from None
    return load_workflow(text, source=path.name, agents=agents, checks=checks)


def read_workflow(text: str, *, checks: Collection[str]) -> PhaseGraph:
    """A built-in workflow by name, or one from YAML text; no file is looked for.

    Raises `WorkflowError`, `UnknownNameError`.
    """
    if _A_NAME.fullmatch(text):
        if text not in workflow_names():
            raise UnknownNameError("workflow", text, workflow_names())
        return load_workflow_named(text, checks=checks)
    if len(text) > _LARGEST_WORKFLOW:
        raise WorkflowError(f"The workflow has {len(text):,} characters.", f"At most {_LARGEST_WORKFLOW:,} are read.")
    agents = {alias for role in ROLES.values() for alias in (role.name, *role.aliases)}
    return load_workflow(text, source="workflow", agents=agents, checks=checks, most=_MOST_PHASES)


def checked_brief(brief: str) -> str:
    """The brief without blank ends. Raises `BriefError` on one that is empty, binary or too large."""
    text = brief.strip()
    if not text:
        raise BriefError("The brief is empty.", do="Say in a sentence or more what is to be built.")
    if "\x00" in text:
        raise BriefError("The brief is not text.", "It holds NUL bytes.", "Give a text file, in UTF-8.")
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise BriefError(
            "The brief is not whole.", "It holds characters that could not be read.", "Give it as UTF-8 text."
        ) from None
    if size > LARGEST_BRIEF:
        raise BriefError(f"The brief has {size:,} bytes.", f"At most {LARGEST_BRIEF:,} are read.", "Shorten it.")
    return text


def name_of(brief: str) -> str:
    """A name for the project: the brief's first line that says something, cut at a word."""
    for line in brief.splitlines():
        words = re.sub(r"^[#>*\-\s`]+|[`\s]+$", "", line)
        if words:
            return words if len(words) <= _NAME_LENGTH else words[:_NAME_LENGTH].rsplit(" ", 1)[0] + " …"
    return "Project"


class Choice(msgspec.Struct, frozen=True):
    """A model that an agent was given, and its price row to pin (empty: unknown)."""

    model: ModelChoice
    price: str


class Settling:
    """Settles requests against the settings; `resolve` gives a model's real name and price row."""

    def __init__(
        self,
        loaded: LoadedSettings,
        *,
        key: Secret | None,
        resolve: Resolve,
        needs_key: Callable[[str], bool],
        batches: Callable[[LLMConfig], bool],
        checks: Collection[str],
    ) -> None:
        self._settings_keys = SettingsKeys(loaded, key, needs_key)
        self._batches = batches
        self._loaded = loaded
        self._checks = checks
        self._key = key
        self._resolve = resolve

    def __call__(self, request: RunRequest) -> NewRun:
        brief = self._without_keys(checked_brief(request.brief))
        settings, keys = self._loaded.settings, self._keys_of(request)
        graph = self._graph(request.workflow)
        mode = request.mode or settings.mode
        assigned = {} if mode == "simulated" else self._assigned(request.assignments, keys)
        sent = tuple(choice.model.provider for choice in assigned.values())
        backing = self.backing(mode, request.provider, request.model, keys=keys, sent=sent)
        self._check_entitled(request, backing, assigned)
        self._check_batches(request.batch, graph, backing)
        budget = request.budget
        if budget is None and settings.budget_usd is not None:
            budget = nano_usd(settings.budget_usd)
        if budget is not None and budget < 0:
            raise ConfigError("The budget is negative.", do="Give an amount in dollars, 0 or more.")
        if request.review not in {"agent", "human"}:
            raise ConfigError(f"'{request.review}' is no reviewer.", do="Use agent or human.")
        return NewRun(
            name=self._without_keys(request.name.strip()) or name_of(brief),
            brief=brief,
            graph=graph,
            mode=backing.mode,
            provider=backing.config.provider if backing.config else "",
            model=backing.model,
            budget=budget,
            parallelism=request.parallelism or settings.parallelism,
            prompts=prompts_digest(),
            prices=backing.prices | {choice.model.model: choice.price for choice in assigned.values() if choice.price},
            review=request.review,
            batch=request.batch,
            base_url=backing.config.base_url if backing.config else "",
            answers={question: self._without_keys(answer) for question, answer in request.answers.items()},
            out=str(request.out.absolute()) if request.out else "",
            owner_id=request.owner_id,
            project_id=request.project_id,
            keyring=request.keyring is not None,
            tasks=request.tasks,
            run_id=request.run_id,
            assignments={role: choice.model for role, choice in assigned.items()} if backing.config else {},
        )

    def _check_entitled(self, request: RunRequest, backing: Backing, assigned: Mapping[str, Choice]) -> None:
        if backing.config is None:
            return
        check_entitled(request.entitled, backing.config.provider, backing.model)
        for choice in assigned.values():
            check_entitled(request.entitled, choice.model.provider, choice.model.model)

    def _check_batches(self, wanted: bool, graph: PhaseGraph, backing: Backing) -> None:
        """Raises `ConfigError` for a run by batches that nobody would take; a simulated run has no calls at all."""
        if backing.config is None:
            if wanted:
                raise ConfigError("A simulated run has no batches.", "It asks no model.", "Leave --batch out.")
            return
        if (wanted or any(phase.batch for phase in graph.phases.values())) and not self._batches(backing.config):
            raise ConfigError(
                f"{backing.config.provider} has no batch lane here.",
                "" if wanted else "A phase of the workflow says `batch: true`.",
                "Use anthropic or openai, or leave the batches out.",
            )

    def estimate(self, request: RunRequest, past: Sequence[Past]) -> tuple[str, list[PhaseEstimate]]:
        """The model, and what each phase may use; needs no key. Raises `InputError`, `ConfigError` classes."""
        tokens = estimate_tokens(checked_brief(request.brief))
        keys = self._keys_of(request)
        config = keys.config(request.provider or keys.provider(), request.model)
        name, row = self._resolve(config)
        graph = self._graph(request.workflow)
        history = history_of(graph.workflow.name, past)
        own = {
            role: parse_price_row(choice.price) for role, choice in self._assigned(request.assignments, keys).items()
        }
        lines = estimate(graph, brief_tokens=tokens, row=parse_price_row(row), history=history, own=own)
        return f"{config.provider}/{name}", lines

    def _graph(self, workflow: str | PhaseGraph) -> PhaseGraph:
        if isinstance(workflow, PhaseGraph):
            return workflow
        return load_workflow_named(workflow, checks=self._checks)

    def _without_keys(self, text: str) -> str:
        """What a person typed, should a live key have been pasted into it: a brief is kept and sent for good."""
        for secret in (*self._loaded.keys.values(), *([self._key] if self._key else ())):
            text = text.replace(secret.reveal(), REDACTED)
        return text

    def backing(
        self, mode: str, provider: str = "", model: str = "", *, keys: KeySource | None = None, sent: Sequence[str] = ()
    ) -> Backing:
        """The mode that `auto` comes to, and the model behind it; `sent` are further providers that are needed.

        Raises `UnknownNameError` for a provider or model, `CredentialMissingError` in real mode.
        """
        keys = keys or self._settings_keys
        if mode not in {"auto", "simulated", "real"}:
            raise ConfigError(f"'{mode}' is no mode.", do="Use auto, simulated or real.")
        if mode == "simulated":
            return Backing("simulated")
        config = keys.config(provider or keys.provider(), model)
        if mode == "real" or provider:
            # A name that is wrong is told before a key that is missing: setting one would not help.
            self._resolve(config)
        if mode == "auto" and not keys.has_key(config.provider):
            return Backing("simulated")
        lacking = [name for name in (config.provider, *sent) if not keys.has_key(name)]
        if lacking:
            raise keys.missing(lacking[0])
        if config.provider == SIMULATED:
            raise ConfigError("The provider 'simulated' asks no model.", do="Run with --mode simulated.")
        name, row = self._resolve(config)
        return Backing("real", config, name, {name: row} if row else {})

    def config(self, provider: str, model: str) -> LLMConfig:
        """The model with the operator's own credential, read anew from the settings: keys stand in no state."""
        return self._settings_keys.config(provider, model)

    def _keys_of(self, request: RunRequest) -> KeySource:
        if request.keyring is None:
            return self._settings_keys
        return OwnKeys(request.keyring, self._loaded.settings.provider)

    def _assigned(self, wanted: Mapping[str, str], keys: KeySource) -> dict[str, Choice]:
        """Role to the model that it was given, each checked. Raises `UnknownNameError`, `ConfigError`."""
        chosen: dict[str, Choice] = {}
        for agent, name in wanted.items():
            provider, slash, model = name.partition("/")
            if not slash or not provider or not model:
                raise ConfigError(f"'{name}' names no model.", "It is for agent " + agent, "Write provider/model.")
            config = keys.config(provider, model)
            real, row = self._resolve(config)
            chosen[resolve_role(agent).name] = Choice(ModelChoice(provider, real, config.base_url), row)
        return chosen
