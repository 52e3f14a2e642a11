"""Checks raw settings with pydantic-settings, built from the fields of `settings.py`; imported only when needed.

Which place a value came from is `loader.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, get_args, get_type_hints

import msgspec
from pydantic import Field, ValidationError, create_model
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from orchestrator_v2.config.settings import Settings
from orchestrator_v2.core.secrets import redact

LIMITS = ("ge", "gt", "le", "lt", "min_length", "max_length", "pattern")


class _Given(BaseSettings):
    """Takes what `loader.py` found and looks nowhere else: the environment is a parameter there."""

    model_config = SettingsConfigDict(extra="forbid", allow_inf_nan=False, validate_default=False)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)


def validate(values: Mapping[str, object]) -> tuple[dict[str, object], list[tuple[str, str]]]:
    """The values in their right types, and (field, what is wrong with it) for each that does not fit."""
    try:
        model = _model().model_validate(dict(values))
    except ValidationError as error:
        return {}, [(str(problem["loc"][0]), _sentence(problem)) for problem in error.errors(include_url=False)]
    return {name: getattr(model, name) for name in values}, []


def _model() -> type[BaseSettings]:
    hints = get_type_hints(Settings, include_extras=True)
    fields: dict[str, Any] = {}
    for name in Settings.__struct_fields__:
        kind, *notes = get_args(hints[name])
        meta = next(note for note in notes if isinstance(note, msgspec.Meta))
        limits: dict[str, Any] = {limit: getattr(meta, limit) for limit in LIMITS if getattr(meta, limit) is not None}
        fields[name] = (Annotated[kind, Field(**limits)], None)
    return create_model("GivenSettings", __base__=_Given, **fields)


def _sentence(problem: Mapping[str, Any]) -> str:
    given = problem["input"]
    shown = str(given) if isinstance(given, Path | str) else repr(given)
    return f"{problem['msg'][0].lower()}{problem['msg'][1:]}, but it is '{redact(shown)[:80]}'"
