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
from orchestrator_v2.agents.roles import ROLES
from orchestrator_v2.agents.templates import prompts_digest
from orchestrator_v2.config.loader import LoadedSettings
from orchestrator_v2.core.errors import BriefError, ConfigError, CredentialMissingError, UnknownNameError
from orchestrator_v2.core.secrets import REDACTED, Secret
from orchestrator_v2.core.usage import nano_usd
from orchestrator_v2.engine.engine import NewRun
from orchestrator_v2.engine.phase_graph import PhaseGraph
from orchestrator_v2.engine.workflow_file import load_workflow
from orchestrator_v2.llm.auth import credential_variables, resolve_credentials
from orchestrator_v2.llm.prices import parse_price_row
from orchestrator_v2.llm.tokens import estimate_tokens
from orchestrator_v2.llm.types import LLMConfig
from orchestrator_v2.parts import RunRequest

# A brief is read whole by every agent; past this it would not fit beside the work itself (bytes).
LARGEST_BRIEF = 1 << 20
_NAME_LENGTH = 80
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
        self._needs_key = needs_key
        self._batches = batches
        self._loaded = loaded
        self._checks = checks
        self._key = key
        self._resolve = resolve

    def __call__(self, request: RunRequest) -> NewRun:
        brief = self._without_keys(checked_brief(request.brief))
        settings = self._loaded.settings
        graph = self._graph(request.workflow)
        backing = self.backing(request.mode or settings.mode, request.provider, request.model)
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
            prices=backing.prices,
            review=request.review,
            batch=request.batch,
            base_url=backing.config.base_url if backing.config else "",
            answers={question: self._without_keys(answer) for question, answer in request.answers.items()},
            out=str(request.out.absolute()) if request.out else "",
        )

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
        config = self.config(request.provider or self._loaded.settings.provider, request.model)
        name, row = self._resolve(config)
        graph = self._graph(request.workflow)
        history = history_of(graph.workflow.name, past)
        lines = estimate(graph, brief_tokens=tokens, row=parse_price_row(row), history=history)
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

    def backing(self, mode: str, provider: str = "", model: str = "") -> Backing:
        """The mode that `auto` comes to, and the model behind it.

        Raises `UnknownNameError` for a provider or model, `CredentialMissingError` in real mode.
        """
        if mode not in {"auto", "simulated", "real"}:
            raise ConfigError(f"'{mode}' is no mode.", do="Use auto, simulated or real.")
        if mode == "simulated":
            return Backing("simulated")
        config = self.config(provider or self._loaded.settings.provider, model)
        if mode == "real" or provider:
            # A name that is wrong is told before a key that is missing: setting one would not help.
            self._resolve(config)
        if config.credential is None and self._needs_key(config.provider):
            if mode == "auto":
                return Backing("simulated")
            variables = " or ".join(credential_variables(config.provider, self._loaded.catalog)) or "a key"
            raise CredentialMissingError(
                f"Real mode needs a key for {config.provider}, and there is none.",
                "It is never replaced by a simulation.",
                f"Set {variables} in the environment or in .env, or run with --mode simulated.",
            )
        if config.provider == SIMULATED:
            raise ConfigError("The provider 'simulated' asks no model.", do="Run with --mode simulated.")
        name, row = self._resolve(config)
        return Backing("real", config, name, {name: row} if row else {})

    def config(self, provider: str, model: str) -> LLMConfig:
        """The model with its credential, read anew from the settings each time: keys stand in no state.

        The settings' base_url and model are those of the settings' provider: another one's key is not for that server.
        """
        loaded, settings = self._loaded, self._loaded.settings
        own = provider == settings.provider
        found = resolve_credentials(provider, reveal(loaded.keys), explicit=self._key, catalog=loaded.catalog)
        first, spare = (*found, None, None)[:2]
        return LLMConfig(
            provider,
            model or (settings.model if own else ""),
            first.secret if first else None,
            settings.base_url if own else "",
            first.kind if first else "api_key",
            spare.secret if spare else None,
        )


def reveal(keys: Mapping[str, Secret]) -> dict[str, str]:
    """Key variables by name, for the one who resolves credentials."""
    return {name: secret.reveal() for name, secret in keys.items()}
