"""`AnswerSchema`: the JSON Schema that an answer is asked for by, and the check that it fits.

The gate for hostile JSON (size, depth, controls) is `llm/structured.py`; the corrective turn is `api_way.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import msgspec

from orchestrator_v2.core.errors import InputError, InvalidOutputError
from orchestrator_v2.llm.structured import clean_text, parse_json

MAX_PROBLEMS = 20


@runtime_checkable
class _Model(Protocol):
    """A pydantic model's class, as far as it is used here."""

    def model_json_schema(self) -> dict[str, Any]: ...

    def model_validate(self, value: Any) -> Any: ...


class AnswerSchema(msgspec.Struct, frozen=True):
    """`schema` is a JSON Schema of an object or array; `model` the pydantic class that it came from."""

    schema: dict[str, Any]
    model: Any = None

    def read(self, text: str) -> Any:
        """The JSON value in the text, whatever that holds.

        Raises `InvalidOutputError` with all that is wrong with it, `InputError` for a $ref that leads nowhere.
        """
        value = parse_json(text)
        problems, value = _model_problems(self.model, value) if self.model else (_problems(self.schema, value), value)
        if problems:
            shown = [clean_text(problem)[:300] for problem in problems[:MAX_PROBLEMS]]
            if len(problems) > MAX_PROBLEMS:
                shown.append(f"and {len(problems) - MAX_PROBLEMS} more")
            raise InvalidOutputError(
                "The answer does not fit its schema.", f"{'; '.join(shown)}.", "Ask anew, or ask a stronger model."
            )
        return value


def answer_schema(given: object) -> AnswerSchema | None:
    """The schema of a task; None for none. Raises `InputError` for one that no answer could be held to."""
    if given is None:
        return None
    if isinstance(given, type) and isinstance(given, _Model):
        return _checked(AnswerSchema(given.model_json_schema(), given))
    if isinstance(given, Mapping):
        return _checked(AnswerSchema(dict(given)))
    raise _unusable("it is neither a JSON Schema nor a pydantic model")


def _checked(answer: AnswerSchema) -> AnswerSchema:
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import SchemaError

    try:
        Draft202012Validator.check_schema(answer.schema)
    except SchemaError as error:
        raise _unusable(f"{error.json_path}: {error.message[:300]}") from None
    if answer.schema.get("type", "object") not in ("object", "array"):
        raise _unusable(f"an answer is an object or an array, and it asks for '{answer.schema['type']}'")
    return answer


def _unusable(why: str) -> InputError:
    return InputError("The response_schema cannot be used.", f"{why[:1].upper()}{why[1:]}.", "Nothing was sent.")


def _problems(schema: Mapping[str, Any], value: Any) -> list[str]:
    from jsonschema import Draft202012Validator
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    # An empty registry: a $ref never makes this process fetch something.
    validator = Draft202012Validator(schema, registry=Registry())
    try:
        found = sorted(validator.iter_errors(value), key=lambda error: error.json_path)
    except Unresolvable as error:
        raise _unusable(f"the $ref '{error.ref}' leads nowhere") from None
    return [f"{error.json_path}: {error.message}" for error in found]


def _model_problems(model: Any, value: Any) -> tuple[Sequence[str], Any]:
    """What is wrong with the value, and the value as the model has it, with its defaults."""
    from pydantic import ValidationError

    try:
        return [], model.model_validate(value).model_dump(mode="json")
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=False, include_input=False)
        return [f"{'.'.join(map(str, one['loc'])) or 'answer'}: {one['msg']}" for one in details], None
