"""`AnswerSchema`: the JSON Schema that an answer is asked for by, and the check that it fits.

Whether a schema can be used is `schema_check.py`, a pydantic model's part `answer_model.py`. The gate for hostile JSON
(size, depth, controls) is `llm/structured.py`; the corrective turn is `api_way.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import msgspec

from orchestrator_v2.core.errors import InputError, InvalidOutputError
from orchestrator_v2.llm.structured import clean_text, parse_json
from orchestrator_v2.tasks.schema_check import checked_schema, unusable_schema
from orchestrator_v2.tasks.unforeseen import reason_of

MAX_PROBLEMS = 20


@runtime_checkable
class _Model(Protocol):
    """A pydantic model's class, as far as it is told by."""

    def model_json_schema(self) -> dict[str, Any]: ...

    def model_validate(self, value: Any) -> Any: ...


class AnswerSchema(msgspec.Struct, frozen=True):
    """`schema` is a JSON Schema of an object or array; `model` the pydantic class that it came from."""

    schema: dict[str, Any]
    model: Any = None

    def read(self, text: str) -> Any:
        """The JSON value in the text, whatever that holds.

        Raises `InvalidOutputError` with all that is wrong with it, `InputError` where the schema or model itself fails.
        """
        value = parse_json(text)
        try:
            problems, value = self._read(value)
        except RecursionError:
            problems = ["it nests too deep to be held against its schema"]
        if problems:
            shown = [clean_text(problem)[:300] for problem in problems[:MAX_PROBLEMS]]
            if len(problems) > MAX_PROBLEMS:
                shown.append(f"and {len(problems) - MAX_PROBLEMS} more")
            raise InvalidOutputError(
                "The answer does not fit its schema.", f"{'; '.join(shown)}.", "Ask anew, or ask a stronger model."
            )
        return value

    def _read(self, value: Any) -> tuple[Sequence[str], Any]:
        if self.model is None:
            return _problems(self.schema, value), value
        from orchestrator_v2.tasks.answer_model import read_by

        return read_by(self.model, value)


def answer_schema(given: object) -> AnswerSchema | None:
    """The schema of a task; None for none. Raises `InputError` for one that no answer could be held to."""
    if given is None:
        return None
    if isinstance(given, type) and isinstance(given, _Model):
        from orchestrator_v2.tasks.answer_model import schema_of

        return AnswerSchema(checked_schema(schema_of(given)), given)  # type: ignore[arg-type]
    if isinstance(given, Mapping):
        return AnswerSchema(checked_schema(given))
    raise unusable_schema("it is neither a JSON Schema nor a pydantic model")


def _problems(schema: Mapping[str, Any], value: Any) -> list[str]:
    from jsonschema import Draft202012Validator
    from referencing import Registry

    # An empty registry: a $ref never makes this process fetch something.
    validator = Draft202012Validator(schema, registry=Registry())
    try:
        found = sorted(validator.iter_errors(value), key=lambda error: error.json_path)
    except RecursionError:
        raise
    except Exception as problem:
        raise InputError(
            "The response_schema failed on an answer.",
            f"The answer had come; what it was held against raised {reason_of(problem)}",
            "Mend the schema.",
        ) from problem
    return [f"{error.json_path}: {error.message}" for error in found]
