"""A project's configuration to begin with: each word with what it does, most of them commented out.

What the words mean is told in full by the schema, `schemas/project-config.schema.json`.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from orchestrator_v2.config.project_file import FOLDER, NAMES, shown_path
from orchestrator_v2.config.schema import schema_path
from orchestrator_v2.core.errors import ConfigError

_YAML = """\
# yaml-language-server: $schema={schema}
# Which models this project's runs and agents use. A call's own words (--provider, --model) win over this file, this
# file over .bmad/agents/NAME/config.json, that over ~/.config/orchestrator/config.toml, that over the environment.
# `orchestrator config validate` checks it; `orchestrator config show --agent NAME` says what came of it.

# The provider, and its model (left out: its default). `orchestrator providers` and `orchestrator models` list them.
llm_provider: anthropic
# model: claude-sonnet-5-5

# The variable that holds the key, never the key itself; left out: the provider's usual one.
# api_key: ${{ANTHROPIC_API_KEY}}

# simulated (from templates, free), real, or auto: real where there is a key.
# mode: auto

# How hard the model is to think: none, minimal, low, medium, high, xhigh, max; as far as the model takes it.
# reasoning: medium

# Whose web search is put before the model: auto, ddgs, brave, tavily, google_cse, native, off.
# search: auto

# Who is asked, in this order, where the model cannot answer.
# fallbacks:
#   - openai/gpt-6-luna

# Agents with a model of their own, by role (architect, developer, qa, documentarian, consensus, steward, reviewer,
# data) or by another name that they go by.
# agent_assignments:
#   qa: openai/gpt-6-luna
#   winston:
#     model: claude-opus-5-5
#     reasoning: high
#   developer:
#     provider: anthropic
#     model: glm-5.3
#     base_url: https://api.z.ai/api/anthropic
#     api_key: ${{ZAI_API_KEY}}
#     reasoning: default
#     fallbacks: []

# What a run may cost, and what happens on the way there; the others are shares of limit_usd.
# budget:
#   limit_usd: 5
#   alert_at: 0.5
#   downgrade_at: 0.8
#   downgrade_to: anthropic/claude-haiku-5-5
#   block_at: 1
"""


def new_text(*, as_json: bool) -> str:
    if as_json:
        return json.dumps({"$schema": str(schema_path()), "llm_provider": "anthropic"}, indent=2) + "\n"
    return _YAML.format(schema=schema_path())


def write_new(folder: Path, *, as_json: bool = False) -> Path:
    """The path of the file that was written. Raises `ConfigError` where there is one, or none can be written."""
    home = folder / FOLDER
    there = next((home / name for name in NAMES if os.path.lexists(home / name)), None)
    if there is not None:
        raise ConfigError(
            f"{shown_path(there, folder)} is there already.", "Nothing was written.", "Edit it, or move it away."
        )
    path = home / (NAMES[-1] if as_json else NAMES[0])
    try:
        home.mkdir(exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(new_text(as_json=as_json))
    except OSError as error:
        raise ConfigError(
            f"{shown_path(path, folder)} cannot be written.", f"{error.strerror}.", "Check the folder and its rights."
        ) from error
    return path
