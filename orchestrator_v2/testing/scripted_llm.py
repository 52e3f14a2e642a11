"""A model that says what a test tells it to, and a factory that hands it out in place of a real provider.

The class itself is the provider `scripted`; a server that speaks the real wire is `fake_anthropic.py`.
"""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

from orchestrator_v2.core.clock import Clock, ManualClock
from orchestrator_v2.llm.factory import Answer, LLMFactory, ScriptedCall, ScriptedLLM

__all__ = ["Answer", "ScriptedCall", "ScriptedLLM", "scripted_factory"]


def scripted_factory(
    answers: Iterable[Answer], *, repeat: bool = False, name: str = "scripted", clock: Clock | None = None
) -> tuple[LLMFactory, ScriptedLLM]:
    """A factory in which the provider `name` gives `answers`, and the model that remembers the prompts.

    With `name="anthropic"` the models and prices are Anthropic's. The clock moves by itself unless one is given.
    """
    scripted = ScriptedLLM(answers, repeat=repeat)
    factory = LLMFactory(clock=clock or ManualClock(auto=True), random=Random(0))  # noqa: S311 - jitter, no secret
    factory.register_provider(name, scripted)
    return factory, scripted
