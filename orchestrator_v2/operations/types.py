"""What an operation is asked with and what it answers: `LLMRequest` and `LLMResponse`, as plain data with schemas.

Who answers is `orchestrator.py`; what goes wrong is raised, see `core/operation_errors.py`.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from orchestrator_v2.llm.structured import MAX_DEPTH, MAX_NODES

Mode = Literal["monolithic", "agentic"]
Preference = Literal["local", "cloud", "auto"]
CachePolicy = Literal["use", "bypass", "refresh"]


def _is_whole(text: str) -> str:
    """Text that every database and every provider can hold."""
    if "\x00" in text:
        raise ValueError("holds NUL")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("holds half a character (a lone surrogate)") from None
    return text


def _is_plain(value: Any) -> Any:
    """JSON that every database and every provider can hold: whole text, finite numbers, not too deep, not too many."""
    left = [MAX_NODES]

    def plain(value: Any, depth: int) -> Any:
        left[0] -= 1
        if left[0] < 0 or depth > MAX_DEPTH:
            raise ValueError(f"is nested deeper than {MAX_DEPTH}, or has more than {MAX_NODES:,} values")
        if isinstance(value, str):
            return _is_whole(value)
        if isinstance(value, dict):
            return {plain(name, depth): plain(item, depth + 1) for name, item in value.items()}
        if isinstance(value, list | tuple):
            return [plain(item, depth + 1) for item in value]
        if value is None or isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
            return value
        raise ValueError(f"holds a value that is not JSON: {type(value).__name__}")

    return plain(value, 0)


Name = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9_.-]+$")]
ModelName = Annotated[str, Field(max_length=200, pattern=r"^[A-Za-z0-9._:/@+-]*$")]
Line = Annotated[str, Field(max_length=200), AfterValidator(_is_whole)]


def _whole_number(value: Any) -> Any:
    """JSON knows one kind of number: 3.0 is 3."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Whole = Annotated[int, BeforeValidator(_whole_number)]


class _Given(BaseModel):
    """Strict: 0 is no false, and "1" no number."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class _Told(BaseModel):
    model_config = ConfigDict(frozen=True)


class Sampling(_Given):
    """How the model chooses its words; what a model does not honour is refused before anything is sent."""

    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, gt=0, le=1)
    max_tokens: Whole | None = Field(
        default=None, ge=1, le=1_000_000, description="Of one answer; empty: the operation's own."
    )
    seed: Whole | None = Field(default=None, ge=0, le=2**31 - 1)


class Capabilities(_Given):
    """What the model must be able to do. `min_context_window` is in tokens."""

    vision: bool = False
    tools: bool = False
    json_schema: bool = False
    min_context_window: Whole | None = Field(default=None, ge=1)

    @property
    def asked(self) -> bool:
        return self != Capabilities()


class OperationQuestion(_Given):
    """What is asked of one operation.

    `model_id` is `provider/model`, a model's name or an alias; without one the model is chosen by `capabilities` and
    `model_preference`. `run_mode` is simulated, real or auto (empty: the settings', or real where a model is named).
    `idempotency_key` makes a request that is sent twice one; `budget_usd` is the most that it may cost.
    """

    data: Annotated[dict[str, Any], BeforeValidator(_is_plain)] = Field(description="As the operation's schema has it.")
    mode: Mode = Field(default="monolithic", description="agentic: several specialists, and one who sums up.")
    model_id: ModelName = Field(default="", description="provider/model, a model, an alias; empty: it is chosen.")
    model_preference: Preference = Field(default="auto", description="auto: the cheapest that fits.")
    capabilities: Capabilities = Capabilities()
    sampling: Sampling = Sampling()
    fallbacks: list[ModelName] = Field(default=[], max_length=10, description="Models to ask where the first cannot.")
    timeout_ms: Whole | None = Field(default=None, ge=1, le=86_400_000, description="For the whole operation.")
    cache_policy: CachePolicy = Field(
        default="use", description="use: an equal request's answer; refresh: a new one that is kept; bypass: neither."
    )
    idempotency_key: Annotated[str, Field(max_length=200, pattern=r"^[\x21-\x7e]*$")] = ""
    metadata: dict[Line, Line] = Field(default={}, max_length=50, description="Your own words; given back.")
    run_mode: Literal["", "auto", "simulated", "real"] = ""
    budget_usd: float | None = Field(default=None, ge=0, le=1_000_000, allow_inf_nan=False)


class LLMRequest(OperationQuestion):
    """One question to one operation, which `feature` and `operation` name."""

    feature: Name
    operation: Name

    @property
    def operation_id(self) -> str:
        return f"{self.feature}.{self.operation}"


class Problem(_Told):
    """What went wrong, for who reads it later: see `core/operation_errors.py` for the codes."""

    code: str
    message: str
    suggestion: str = ""
    context: dict[str, Any] = {}


class Spent(_Told):
    """Tokens of all calls; `cost_usd` is None where a price is unknown, 0 for simulated work."""

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cost_usd: float | None = 0.0


class Moment(_Told):
    """One event of the run: `at_ms` after its beginning; `what` is the event's name, `detail` a sentence."""

    at_ms: int
    what: str
    step: str = ""
    detail: str = ""


class ResponseMetadata(_Told):
    """How the answer came to be. `cost_usd` is what this request cost: 0 for an answer that was there already.

    `status` is the run's. `provenance` is simulated, real, fallback or replayed. `cache` is hit, miss or bypass;
    `replayed` tells that the answer was stored under the request's idempotency key.
    """

    operation: str
    run_id: str
    status: str
    execution_time_ms: int
    execution_mode: Mode
    provenance: str
    models_used: tuple[str, ...] = ()
    agents_used: tuple[str, ...] = ()
    usage: Spent = Spent()
    cost_usd: float | None = 0.0
    cache: Literal["hit", "miss", "bypass"] = "miss"
    replayed: bool = False
    routing: dict[str, Any] = {}
    events: tuple[Moment, ...] = ()
    request: dict[str, str] = {}


class LLMResponse(_Told):
    """The answer: `results` fit the operation's response schema. `warnings` name agents that gave none.

    `success` is False for a run that is looked at before it has an answer; `errors` then say why there is none.
    """

    success: bool
    results: dict[str, Any] | None
    errors: tuple[Problem, ...] = ()
    warnings: tuple[str, ...] = ()
    metadata: ResponseMetadata
