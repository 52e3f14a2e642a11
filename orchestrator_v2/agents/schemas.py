"""What a model answers (`PlanAnswer`, `OutputAnswer`) and what an agent returns (`AgentPlan`, `AgentOutput`).

The second pair adds what no model may say about itself: usage, provenance, the assignment. Reading answers
from text is `response_parser.py`.
"""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

import msgspec
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer

from orchestrator_v2.agents.assignment import Assignment
from orchestrator_v2.core.records import SIMULATED, Provenance
from orchestrator_v2.core.usage import NO_USAGE, Usage

MAX_STEPS = 12
MAX_FILES = 400
MAX_FILE_CHARS = 1_000_000
MAX_TEXT_CHARS = 50_000
MAX_LINE_CHARS = 4_000

_T = TypeVar("_T")


def _capped(limit: int) -> AfterValidator:
    def check(value: str) -> str:
        if len(value) > limit:
            raise ValueError(f"has {len(value):,} characters, {limit:,} are allowed")
        return value

    return AfterValidator(check)


def _not_blank(value: str) -> str:
    if not value.strip():
        raise ValueError("is empty")
    return value.strip()


def _struct(kind: type[_T]) -> BeforeValidator:
    return BeforeValidator(lambda value: msgspec.convert(value, kind) if isinstance(value, dict) else value)


_AS_DATA = PlainSerializer(msgspec.to_builtins)
_WHOLE = PlainSerializer(msgspec.structs.asdict)  # with its defaults: "simulated" has to be readable in a dump

# The caps are validators, not schema keywords: several providers refuse a schema with length limits.
Text = Annotated[str, _capped(MAX_TEXT_CHARS)]
Line = Annotated[str, _capped(MAX_LINE_CHARS), AfterValidator(_not_blank)]
Content = Annotated[str, _capped(MAX_FILE_CHARS)]


class _Answer(BaseModel):
    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        arbitrary_types_allowed=True,
        json_schema_serialization_defaults_required=True,
        json_schema_extra={"additionalProperties": False},
    )


class PlanStep(_Answer):
    """One act: a short title, what exactly is to be done, and the paths it will write."""

    title: Line
    detail: Text = ""
    files: list[Text] = Field(default=[], max_length=MAX_FILES)


class PlanAnswer(_Answer):
    summary: Line
    steps: list[PlanStep] = Field(min_length=1, max_length=MAX_STEPS)


class FileOutput(_Answer):
    """A whole file: its path from the project's root, and all of its text."""

    path: Line
    content: Content


class OutputAnswer(_Answer):
    """What one step made. `approved` is a verdict, for reviewing phases only."""

    summary: Line
    files: list[FileOutput] = Field(default=[], max_length=MAX_FILES)
    removed: list[Text] = Field(default=[], max_length=MAX_FILES)
    approved: bool | None = None
    notes: list[Text] = Field(default=[], max_length=100)


class _Measured(_Answer):
    usage: Annotated[Usage, _struct(Usage), _WHOLE] = NO_USAGE
    provenance: Annotated[Provenance, _struct(Provenance), _WHOLE] = SIMULATED


class AgentPlan(PlanAnswer, _Measured):
    """A plan of 1 to 12 steps, how it came to be and what it cost; `assignment` is what it is a plan for."""

    assignment: Annotated[Assignment | None, _struct(Assignment), _AS_DATA] = None
    remarks: list[str] = []


class AgentOutput(OutputAnswer, _Measured):
    """What an agent made: of one step from `act_step`, of all steps merged from `act`."""


def answer_schema(model: type[BaseModel]) -> dict[str, Any]:
    """The JSON Schema that a model's answer must fit, every field required; sent along and shown in the prompt."""
    # Serialization mode lists fields with defaults as required: a complete answer is asked for, a short one read.
    schema: dict[str, Any] = _lean(model.model_json_schema(mode="serialization"))
    return schema


def _lean(node: Any) -> Any:
    if isinstance(node, list):
        return [_lean(item) for item in node]
    if not isinstance(node, dict):
        return node
    return {key: _lean(value) for key, value in node.items() if not _is_noise(key, value)}


def _is_noise(key: str, value: object) -> bool:
    return (key == "title" and isinstance(value, str)) or key in {"default", "minItems", "maxItems"}
