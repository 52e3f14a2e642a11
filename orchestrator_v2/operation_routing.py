"""Which model answers an operation: the one that is named, the one that is configured, or the cheapest that fits.

How fitness is judged is `llm/matching.py`; keys, prices and budgets are settled as for a project's run (`settling.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from orchestrator_v2.config.display import live_secrets
from orchestrator_v2.config.loader import LoadedSettings
from orchestrator_v2.config.project_config import ProjectConfig
from orchestrator_v2.core.clock import Clock
from orchestrator_v2.core.errors import ForbiddenError
from orchestrator_v2.core.operation_errors import InvalidRequestError, ModelUnavailableError
from orchestrator_v2.core.secrets import redact
from orchestrator_v2.core.usage import NANO, nano_usd
from orchestrator_v2.core.workflow import ModelChoice, Phase, Workflow
from orchestrator_v2.engine.engine import NewRun
from orchestrator_v2.engine.phase_graph import PhaseGraph
from orchestrator_v2.key_sources import KeySource, OwnKeys, SettingsKeys, check_entitled
from orchestrator_v2.llm.candidates import local_models, usable
from orchestrator_v2.llm.catalog import ModelInfo
from orchestrator_v2.llm.factory import LLMFactory
from orchestrator_v2.llm.matching import Candidate, Decision, Needs, match, misfits
from orchestrator_v2.llm.naming import named_model
from orchestrator_v2.operations.ports import Caller, Route
from orchestrator_v2.operations.types import LLMRequest
from orchestrator_v2.parts import RunRequest

SIMULATED = "simulated"
# So many of the models that were looked at are told.
_SHOWN = 20
# What is settled is whose key, which price, which ceiling: the steps do not matter to it.
_GRAPH = PhaseGraph(Workflow(name="operation", phases=(Phase(id="answer", agent="answer"),)))


class OperationRouter:
    """The `Router` of operations over the settings' keys, or those that a server's user has stored."""

    def __init__(
        self,
        loaded: LoadedSettings,
        settle: Callable[[RunRequest], NewRun],
        models: LLMFactory,
        keys: SettingsKeys,
        clock: Clock,
    ) -> None:
        self._loaded = loaded
        self._project = ProjectConfig(loaded)
        self._settle = settle
        self._models = models
        self._keys = keys
        self._clock = clock

    async def route(self, request: LLMRequest, caller: Caller, *, sees: bool) -> Route:
        mode = self._mode(request, caller)
        if mode == SIMULATED:
            return _simulated(request)
        needs = _needs(request, sees)
        provider, model, decision = await self._chosen(request, caller, needs, mode)
        if provider == SIMULATED:
            return _simulated(request, decision)
        new = self._settled(request, caller, mode, provider, model)
        if new.mode == SIMULATED:
            return _simulated(request)
        self._check(new.provider, new.model, needs, decision)
        choice = new.default or ModelChoice(new.provider, new.model, new.base_url)
        fallbacks = [self._settled(request, caller, "real", *self._named(name)) for name in request.fallbacks]
        if fallbacks:
            others = tuple(ModelChoice(it.provider, it.model, it.base_url) for it in fallbacks)
            choice = msgspec.structs.replace(choice, fallbacks=others)
        told = {
            **decision,
            "model": f"{choice.provider}/{choice.model}",
            "fallbacks": [f"{it.provider}/{it.model}" for it in choice.fallbacks],
        }
        prices = {name: row for it in fallbacks for name, row in it.prices.items()} | new.prices
        return Route(
            mode="real",
            choice=choice,
            prices=prices,
            budget=new.budget,
            rules=new.rules,
            decision=told,
            warnings=tuple(decision.get("warnings", ())),
        )

    def scrub(self, value: Any) -> Any:
        if isinstance(value, str):
            return redact(value, live_secrets(self._loaded))
        if isinstance(value, dict):
            return {name: self.scrub(item) for name, item in value.items()}
        return [self.scrub(item) for item in value] if isinstance(value, list | tuple) else value

    def _mode(self, request: LLMRequest, caller: Caller) -> str:
        """What is said, else what the settings say; who names a model and has set no mode wants that model."""
        if request.run_mode:
            return request.run_mode
        if caller.keyring is not None:
            return "real" if _wants_a_model(request) else "auto"
        is_said = self._loaded.sources.get("mode") != "default" or self._project.word("mode")
        return self._keys.mode() if is_said or not _wants_a_model(request) else "real"

    async def _chosen(
        self, request: LLMRequest, caller: Caller, needs: Needs, mode: str
    ) -> tuple[str, str, dict[str, Any]]:
        """Provider and model (empty: as configured), and how they were come by."""
        if request.model_id:
            return *self._named(request.model_id), {"by": "model_id", "reason": "The request names it."}
        keys = self._keys if caller.keyring is None else OwnKeys(caller.keyring, self._loaded.settings)
        is_said = self._loaded.sources.get("provider") != "default" or self._project.word("llm_provider")
        configured = bool(is_said) or keys.has_key(keys.provider())
        if configured and request.model_preference == "auto" and not _demands(needs):
            return (
                "",
                "",
                {"by": "configuration", "reason": "Nothing is asked of the model: the configured one answers."},
            )
        found = match(await self._infos(request, caller, keys), needs, request.model_preference, now=self._clock.now())
        told = _told(found)
        if found.chosen is not None:
            return found.chosen.provider, found.chosen.model, told
        if not found.considered:
            # There is a key for nobody: `auto` is simulated then, and whoever wants it real is told what to set.
            return (SIMULATED if mode == "auto" else ""), "", told
        raise ModelUnavailableError(
            "No model that can be used fits the request.",
            found.reason,
            "Ask for less, store or set a key for another provider, or name the model as `model_id`.",
            context={"routing": told},
        )

    async def _infos(self, request: LLMRequest, caller: Caller, keys: KeySource) -> list[ModelInfo]:
        now = self._clock.now()
        infos = usable(self._models, lambda name: _holds(caller, keys, name), now=now)
        settings = self._loaded.settings
        if caller.keyring is None and (request.model_preference == "local" or self._is_local(settings.provider)):
            found = await local_models(self._models, lambda name: self._keys.config(name, "").credential, now=now)
            infos += [info for each in found for info in each.models]
        return [info for info in infos if _is_entitled(caller.entitled, info)]

    def _is_local(self, provider: str) -> bool:
        row = self._models.catalog.get(provider)
        return row is not None and row.keyless

    def _named(self, name: str) -> tuple[str, str]:
        return named_model(self._models.catalog, self._models.names(), name, preferred=self._keys.provider())

    def _settled(self, request: LLMRequest, caller: Caller, mode: str, provider: str, model: str) -> NewRun:
        budget = None if request.budget_usd is None else nano_usd(request.budget_usd)
        return self._settle(
            RunRequest(
                brief=request.operation_id,
                workflow=_GRAPH,
                mode=mode,
                provider=provider,
                model=model,
                budget=budget,
                owner_id=caller.owner_id,
                keyring=caller.keyring,
                entitled=caller.entitled,
            )
        )

    def _check(self, provider: str, model: str, needs: Needs, decision: dict[str, Any]) -> None:
        """Raises `InvalidRequestError` where the model that is named or configured cannot do what is asked."""
        if decision["by"] == "matching":
            return
        # How long its answers may be is told by its provider, where nobody here knows.
        why = misfits(self._models.validate_model(provider, model), msgspec.structs.replace(needs, max_output=None))
        if why:
            raise InvalidRequestError(
                f"The model {provider}/{model} does not fit the request.",
                " ".join(why),
                "Name another, or leave `model_id` out: one that fits is chosen.",
                context={"model": f"{provider}/{model}", "why_not": list(why)},
            )


def _holds(caller: Caller, keys: KeySource, provider: str) -> bool:
    """Whether there is a key of ours: what works without one, by somebody else's leave, is not chosen unasked."""
    return keys.has_key(provider) if caller.keyring is not None else keys.config(provider, "").credential is not None


def _wants_a_model(request: LLMRequest) -> bool:
    asked = request.model_id or request.fallbacks or request.model_preference != "auto"
    return bool(asked) or request.capabilities.asked


def _demands(needs: Needs) -> bool:
    """Whether more is asked than an answer of some length."""
    return needs != Needs(max_output=needs.max_output)


def _needs(request: LLMRequest, sees: bool) -> Needs:
    asked = request.capabilities
    return Needs(
        vision=asked.vision or sees,
        tools=asked.tools,
        json_schema=asked.json_schema,
        min_context_window=asked.min_context_window,
        max_output=request.sampling.max_tokens,
    )


def _simulated(request: LLMRequest, decision: dict[str, Any] | None = None) -> Route:
    told = {**(decision or {}), "by": "mode", "model": SIMULATED, "reason": "The mode is simulated: no model is asked."}
    warned = ("The mode is simulated, so the model that was asked for was not.",) if _wants_a_model(request) else ()
    return Route(SIMULATED, decision=told, warnings=warned)


def _is_entitled(patterns: Sequence[str], info: ModelInfo) -> bool:
    try:
        check_entitled(patterns, info.provider, info.name)
    except ForbiddenError:
        return False
    return True


def _told(decision: Decision) -> dict[str, Any]:
    return {
        "by": "matching",
        "preference": decision.preference,
        "reason": decision.reason,
        "warnings": list(decision.warnings),
        "considered": [_candidate(it) for it in decision.considered[:_SHOWN]],
        "left_out": max(0, len(decision.considered) - _SHOWN),
    }


def _candidate(found: Candidate) -> dict[str, Any]:
    cost = found.cost_of_a_call
    return {
        "model": f"{found.provider}/{found.model}",
        "local": found.local,
        "fits": found.fits,
        "why_not": list(found.why_not),
        "usd_a_call": None if cost is None else cost / NANO,
    }
