"""From what a user asked for to a run that can be started: brief, workflow, mode, model and prices are settled here.

Nothing is written and nothing is sent; what is wrong is an `InputError` now, not a failed run later. The parts
that the settled run will use are made by `bootstrap.py`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from importlib import resources
from pathlib import Path

import msgspec

from orchestrator_v2.agents.estimating import Past, PhaseEstimate, estimate, history_of
from orchestrator_v2.agents.roles import ROLES, resolve_role
from orchestrator_v2.agents.templates import prompts_digest
from orchestrator_v2.config.choosing import Chosen
from orchestrator_v2.config.loader import LoadedSettings
from orchestrator_v2.core.errors import BriefError, ConfigError, UnknownNameError, WorkflowError
from orchestrator_v2.core.secrets import Secret, redact
from orchestrator_v2.core.usage import nano_usd
from orchestrator_v2.core.workflow import BudgetRules, ModelChoice
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


class Choice(msgspec.Struct, frozen=True):
    """A model by its real name, with its fallbacks, and the price rows to pin of them all (an unknown one: empty)."""

    model: ModelChoice
    prices: dict[str, str]


class Backing(msgspec.Struct, frozen=True):
    """Who answers in a run of this mode: its model, and those of the agents that have one of their own."""

    mode: str
    default: Choice | None = None
    agents: dict[str, Choice] = {}

    def models(self) -> list[Choice]:
        return [] if self.default is None else [self.default, *self.agents.values()]

    def choices(self) -> list[ModelChoice]:
        """Every model that may be asked, fallbacks among them."""
        return [one for it in self.models() for one in (it.model, *it.model.fallbacks)]

    def prices(self) -> dict[str, str]:
        return {name: row for it in self.models() for name, row in it.prices.items() if row}


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
        settings = self._loaded.settings
        graph = self._graph(request.workflow)
        backing = self._backing(request)
        self._check_batches(request, graph, backing)
        budget, rules, pinned = self._budget(request, backing)
        if request.review not in {"agent", "human"}:
            raise ConfigError(f"'{request.review}' is no reviewer.", do="Use agent or human.")
        model = backing.default.model if backing.default else ModelChoice("", "")
        return NewRun(
            name=self._without_keys(request.name.strip()) or name_of(brief),
            brief=brief,
            graph=graph,
            mode=backing.mode,
            provider=model.provider,
            model=model.model,
            budget=budget,
            parallelism=request.parallelism or settings.parallelism,
            prompts=prompts_digest(),
            prices=backing.prices() | pinned,
            review=request.review,
            batch=request.batch,
            base_url=model.base_url,
            answers={question: self._without_keys(answer) for question, answer in request.answers.items()},
            out=str(request.out.absolute()) if request.out else "",
            owner_id=request.owner_id,
            project_id=request.project_id,
            keyring=request.keyring is not None,
            tasks=request.tasks,
            run_id=request.run_id,
            assignments={role: choice.model for role, choice in backing.agents.items()},
            default=None if model == ModelChoice(model.provider, model.model, model.base_url) else model,
            rules=rules,
        )

    def _budget(self, request: RunRequest, backing: Backing) -> tuple[int | None, BudgetRules, dict[str, str]]:
        """The ceiling, the thresholds below it, and the price rows of the cheaper model.

        Raises `ConfigError` for thresholds that could not be watched.
        """
        if request.budget is not None and request.budget < 0:
            raise ConfigError("The budget is negative.", do="Give an amount in dollars, 0 or more.")
        if request.keyring is not None:
            usual = self._loaded.settings.budget_usd
            limit = None if usual is None else nano_usd(usual)
            return (limit if request.budget is None else request.budget), BudgetRules(), {}
        shares = self._settings_keys.shares()
        limit = shares.limit if request.budget is None else request.budget
        if backing.default is None:
            return shares.ceiling(limit), BudgetRules(), {}
        rules = shares.rules(limit)
        if rules == BudgetRules():
            return shares.ceiling(limit), rules, {}
        cheaper = None if rules.cheaper is None else self._named(Chosen("", rules.cheaper, {}), self._settings_keys)
        if cheaper is not None:
            if request.batch:
                raise ConfigError(
                    "A batch goes to one model.",
                    "budget.downgrade_to is set.",
                    "Leave downgrade_at and downgrade_to out.",
                )
            self._check_ready([cheaper.model], self._settings_keys)
            rules = msgspec.structs.replace(rules, cheaper=cheaper.model)
        known = [*backing.models(), *([cheaper] if cheaper else ())]
        unknown = [name for it in known for name, row in it.prices.items() if not row]
        if unknown:
            raise ConfigError(
                "The budget cannot be watched.",
                f"Reason: the price of the model '{unknown[0]}' is unknown, so no threshold can be seen.",
                "Set its price in models.toml, or take alert_at and downgrade_at out of the project's configuration.",
            )
        return shares.ceiling(limit), rules, cheaper.prices if cheaper else {}

    def _check_batches(self, request: RunRequest, graph: PhaseGraph, backing: Backing) -> None:
        """Raises `ConfigError` for a run by batches that nobody would take; a simulated run has no calls at all."""
        wanted = request.batch
        if backing.default is None:
            if wanted:
                raise ConfigError("A simulated run has no batches.", "It asks no model.", "Leave --batch out.")
            return
        if not (wanted or any(phase.batch for phase in graph.phases.values())):
            return
        instead = "" if wanted else "A phase of the workflow says `batch: true`."
        if not self._batches(self._keys_of(request).with_key(backing.default.model)):
            raise ConfigError(
                f"{backing.default.model.provider} has no batch lane here.",
                instead,
                "Use anthropic or openai, or leave the batches out.",
            )
        if len(backing.choices()) > len(backing.models()):
            raise ConfigError(
                "A batch goes to one model.",
                instead or "Fallbacks are configured.",
                "Leave the fallbacks or --batch out.",
            )

    def estimate(self, request: RunRequest, past: Sequence[Past]) -> tuple[str, list[PhaseEstimate]]:
        """The model, and what each phase may use; needs no key. Raises `InputError`, `ConfigError` classes."""
        tokens = estimate_tokens(checked_brief(request.brief))
        keys = self._keys_of(request)
        chosen = self._named(keys.choose("", [(request.provider, request.model)]), keys)
        graph = self._graph(request.workflow)
        history = history_of(graph.workflow.name, past)
        agents = self._agents(request, keys)
        own = {role: parse_price_row(it.prices[it.model.model]) for role, it in agents.items()}
        row = parse_price_row(chosen.prices[chosen.model.model])
        lines = estimate(graph, brief_tokens=tokens, row=row, history=history, own=own)
        return f"{chosen.model.provider}/{chosen.model.model}", lines

    def _graph(self, workflow: str | PhaseGraph) -> PhaseGraph:
        if isinstance(workflow, PhaseGraph):
            return workflow
        return load_workflow_named(workflow, checks=self._checks)

    def _without_keys(self, text: str) -> str:
        """What a person typed, should a key have been pasted into it: a brief is kept and sent for good."""
        return redact(text, (*self._loaded.keys.values(), *([self._key] if self._key else ())))

    def _backing(self, request: RunRequest) -> Backing:
        """The mode that `auto` comes to, and the models behind it.

        Raises `UnknownNameError` for a provider or model, `CredentialMissingError` in real mode, `ForbiddenError`.
        """
        keys = self._keys_of(request)
        mode = request.mode or self._usual_mode(request)
        if mode not in {"auto", "simulated", "real"}:
            raise ConfigError(f"'{mode}' is no mode.", do="Use auto, simulated or real.")
        if mode == SIMULATED:
            return Backing(SIMULATED)
        agents = self._agents(request, keys)
        chosen = keys.choose("", [(request.provider, request.model)])
        if mode == "real" or request.provider:
            # A name that is wrong is told before a key that is missing: setting one would not help.
            self._named(chosen, keys)
        if mode == "auto" and not keys.is_ready(chosen.model):
            return Backing(SIMULATED)
        if chosen.model.provider == SIMULATED:
            raise ConfigError("The provider 'simulated' asks no model.", do="Run with --mode simulated.")
        for one in (chosen, *(keys.choose(role, self._named_for(role, request)) for role in agents)):
            keys.check(one)
        backing = Backing("real", self._named(chosen, keys), agents)
        self._check_ready(backing.choices(), keys)
        for choice in backing.choices():
            check_entitled(request.entitled, choice.provider, choice.model)
        return backing

    def _check_ready(self, choices: Sequence[ModelChoice], keys: KeySource) -> None:
        for choice in choices:
            keys.check(Chosen("", choice, {}))
            if not keys.is_ready(choice):
                raise keys.missing(choice.provider)

    def _usual_mode(self, request: RunRequest) -> str:
        return self._settings_keys.mode() if request.keyring is None else self._loaded.settings.mode

    def config(self, provider: str, model: str, choice: ModelChoice | None = None) -> LLMConfig:
        """The model with the operator's own credential, read anew from the settings: keys stand in no state.

        `choice` is the model as a run was settled with it.
        """
        return self._settings_keys.config(provider, model) if choice is None else self._settings_keys.pinned(choice)

    def _keys_of(self, request: RunRequest) -> KeySource:
        if request.keyring is None:
            return self._settings_keys
        return OwnKeys(request.keyring, self._loaded.settings)

    def _agents(self, request: RunRequest, keys: KeySource) -> dict[str, Choice]:
        """Role to the model of its own, each checked. Raises `UnknownNameError`, `ConfigError`."""
        asked = [resolve_role(agent).name for agent in request.assignments]
        usual = keys.choose("", [(request.provider, request.model)]).model
        found = {role: keys.choose(role, self._named_for(role, request)) for role in (*asked, *keys.agents())}
        return {
            role: self._named(chosen, keys) for role, chosen in found.items() if role in asked or chosen.model != usual
        }

    def _named_for(self, role: str, request: RunRequest) -> list[tuple[str, str]]:
        """What the call names for that role, the nearest first. Raises `ConfigError` for what names no model."""
        named = [
            _in_two(agent, name) for agent, name in request.assignments.items() if resolve_role(agent).name == role
        ]
        return [*named, (request.provider, request.model)]

    def _named(self, chosen: Chosen, keys: KeySource) -> Choice:
        """The choice by its models' real names. Raises `UnknownNameError`, `ConfigError`."""
        prices: dict[str, str] = {}

        def real(choice: ModelChoice) -> ModelChoice:
            name, row = self._resolve(keys.with_key(choice))
            prices.setdefault(name, row)
            return msgspec.structs.replace(choice, model=name)

        model = real(chosen.model)
        return Choice(msgspec.structs.replace(model, fallbacks=tuple(map(real, model.fallbacks))), prices)


def _in_two(agent: str, name: str) -> tuple[str, str]:
    provider, slash, model = name.partition("/")
    if not slash or not provider or not model:
        raise ConfigError(f"'{name}' names no model.", "It is for agent " + agent, "Write provider/model.")
    return provider, model
