"""A pydantic model as what an answer has to fit: its JSON Schema, and a value read by it.

Imported where a task names a model, as pydantic takes its time to load; a bare JSON Schema is `answer_schema.py`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaWarningKind

from orchestrator_v2.core.errors import InputError
from orchestrator_v2.tasks.schema_check import unusable_schema
from orchestrator_v2.tasks.unforeseen import reason_of


class _WholeSchema(GenerateJsonSchema):
    """Leaves no default out: an answer that has it could not be given back."""

    def emit_warning(self, kind: JsonSchemaWarningKind, detail: str) -> None:
        if kind == "non-serializable-default":
            raise ValueError(detail)
        super().emit_warning(kind, detail)


def schema_of(model: type[BaseModel]) -> dict[str, Any]:
    """Raises `InputError` for a model that has no JSON Schema, or a default that cannot be written as JSON."""
    try:
        return model.model_json_schema(schema_generator=_WholeSchema)
    except Exception as problem:
        # What it runs is the caller's code too.
        raise unusable_schema(f"the model {model.__name__} has no JSON Schema: {_words(problem)}") from problem


def read_by(model: type[BaseModel], value: Any) -> tuple[Sequence[str], Any]:
    """What is wrong with the value, and the value as the model has it, with its defaults.

    Raises `InputError` where the model's own code fails.
    """
    try:
        return [], model.model_validate(value).model_dump(mode="json")
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=False, include_input=False)
        return [f"{'.'.join(map(str, one['loc'])) or 'answer'}: {one['msg']}" for one in details], None
    except Exception as problem:
        raise InputError(
            f"The model {model.__name__} of the response_schema failed on an answer.",
            f"The answer had come; the model's own code raised {reason_of(problem)}",
            "Mend the model: a validator raises ValueError for what does not fit, and each value can become JSON.",
        ) from problem


def _words(problem: Exception) -> str:
    return reason_of(problem).rstrip(".")
