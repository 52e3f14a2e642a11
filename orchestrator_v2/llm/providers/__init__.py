"""One wire format a file; what a wire needs beside HTTP is imported when it is first used.

Only `llm/factory.py` opens this package, by the table here.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module

from orchestrator_v2.llm.provider import Provider

# A wire's name in `vendors/*.json`, and the class that speaks it. Named as text, so that only the used one is loaded.
WIRES: Mapping[str, tuple[str, str]] = {
    "anthropic": ("anthropic", "AnthropicProvider"),
    "bedrock": ("bedrock", "BedrockProvider"),
    "google": ("google", "GoogleProvider"),
    "openai": ("openai_chat", "OpenAIChatProvider"),
    "simulated": ("simulated", "SimulatedProvider"),
}


def create_provider(wire: str) -> Provider:
    """The provider that speaks `wire`, one of `WIRES`."""
    module, name = WIRES[wire]
    provider: Provider = getattr(import_module(f"{__name__}.{module}"), name)()
    return provider
