"""What a tool is, and how a Python function becomes one: schema from the signature, description from the docstring.

pydantic does the schema and checks the arguments; it is imported when the first tool is made. Who keeps and runs tools
is `tools.py`.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from orchestrator_v2.core.errors import ConfigError
from orchestrator_v2.llm.types import ToolSpec

DEFAULT_TIMEOUT = 60.0
_BY_NAME = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


class ToolFailure(Exception):
    """A tool says that it could not do what was asked; the model reads the text and goes on."""


class Tool(msgspec.Struct, frozen=True):
    """`call` takes the arguments as they came and gives text; `timeout` is in seconds.

    `repeatable` says that a second call does no harm: after a crash in its middle it is simply called again.
    """

    spec: ToolSpec
    call: Callable[[Mapping[str, Any]], Awaitable[str]]
    timeout: float = DEFAULT_TIMEOUT
    repeatable: bool = False


def tool_from_function(
    function: Callable[..., Any], *, name: str, description: str, timeout: float, repeatable: bool
) -> Tool:
    """Raises `ConfigError` for a function without docstring or annotations, or with `*args` of any kind."""
    name = name or getattr(function, "__name__", "")
    described = description or inspect.getdoc(function) or ""
    if not described.strip():
        raise _refused(name, "It has no docstring.", "Say in a docstring what it does: the model knows nothing else.")
    names, model = _arguments_model(function, name)
    schema = _schema(model)

    async def call(arguments: Mapping[str, Any]) -> str:
        given = _checked(model, names, arguments)
        if inspect.iscoroutinefunction(function):
            return _as_text(await function(**given))
        found = await asyncio.to_thread(function, **given)
        return _as_text(await found if inspect.isawaitable(found) else found)

    return Tool(ToolSpec(name, described, schema), call, timeout, repeatable)


def _arguments_model(function: Callable[..., Any], name: str) -> tuple[dict[str, str], Any]:
    """The function's parameters as fields of a pydantic model, and which field stands for which parameter.

    The fields have names of their own: a parameter called `schema` or `_x` could not be one.
    """
    from pydantic import ConfigDict, Field, PydanticUserError, create_model

    try:
        parameters = inspect.signature(function, eval_str=True).parameters.values()
    except (NameError, TypeError, ValueError) as exc:
        raise _refused(name, f"Its signature cannot be read: {exc}.", "Annotate it with types that exist.") from exc
    names: dict[str, str] = {}
    fields: dict[str, Any] = {}
    for number, parameter in enumerate(parameters):
        if parameter.kind not in _BY_NAME or parameter.annotation is inspect.Parameter.empty:
            raise _refused(name, f"Its parameter '{parameter.name}' has no type or no name of its own.", "Annotate it.")
        default = ... if parameter.default is inspect.Parameter.empty else parameter.default
        names[f"field_{number}"] = parameter.name
        fields[f"field_{number}"] = (parameter.annotation, Field(default, alias=parameter.name))
    try:
        model = create_model(name or "Arguments", __config__=ConfigDict(extra="forbid"), **fields)
        _schema(model)
    except (PydanticUserError, TypeError) as exc:
        raise _refused(name, f"{exc}".splitlines()[0], "Use types that JSON can carry.") from exc
    return names, model


def _schema(model: Any) -> dict[str, Any]:
    """Without the titles that pydantic makes of each name: they say nothing, in each round anew."""
    from pydantic.json_schema import GenerateJsonSchema

    class Untitled(GenerateJsonSchema):
        def field_title_should_be_set(self, schema: Any) -> bool:
            return False

    found: dict[str, Any] = model.model_json_schema(by_alias=True, schema_generator=Untitled)
    found.pop("title", None)
    return found


def _checked(model: Any, names: Mapping[str, str], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments as the function wants them. Raises `ToolFailure` with what is wrong with each."""
    from pydantic import ValidationError

    try:
        found = model.model_validate(dict(arguments))
    except ValidationError as exc:
        flaws = (
            f"{'.'.join(map(str, each['loc'])) or 'arguments'}: {each['msg']}"
            for each in exc.errors(include_url=False, include_input=False, include_context=False)
        )
        raise ToolFailure(f"The arguments do not fit. {'; '.join(flaws)}") from None
    return {parameter: getattr(found, field) for field, parameter in names.items()}


def _as_text(value: Any) -> str:
    """A text as it stands, all else as JSON."""
    if isinstance(value, str):
        return value
    from pydantic_core import to_json

    return to_json(value).decode()


def _refused(name: str, why: str, do: str) -> ConfigError:
    return ConfigError(f"The function '{name}' cannot be a tool.", why, do)
