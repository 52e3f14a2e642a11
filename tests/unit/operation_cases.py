"""A small operation with three agents, and operations opened over a scripted model, for the tests of this floor."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel, Field

from orchestrator_v2.config.loader import LoadedSettings, load_settings
from orchestrator_v2.llm.types import InvokeOptions, Message
from orchestrator_v2.operation_bootstrap import open_operations
from orchestrator_v2.operations.handler import AgentAnswer, Answer, Data, OperationAgent, OperationHandler
from orchestrator_v2.operations.orchestrator import LLMOrchestrator
from orchestrator_v2.operations.types import LLMRequest
from orchestrator_v2.testing.scripted_llm import ScriptedLLM, scripted_factory


class Text(Data):
    text: str = Field(min_length=1)
    strict: bool = False
    limit: int = 10


class Counted(Answer):
    words: int
    longest: str


class CountWords(OperationHandler[Text, Counted]):
    """Counts words: small enough to know each answer."""

    operation_id = "words.count"
    summary = "Counts the words of a text."
    request_schema = Text
    response_schema = Counted
    templates = Path(__file__).parent / "operation_templates"
    agents = (
        OperationAgent("counter", "Counter", "You count."),
        OperationAgent("measurer", "Measurer", "You measure."),
        OperationAgent("doubter", "Doubter", "You doubt."),
    )
    concurrency: ClassVar[int] = 2

    def simulate(self, request: Text) -> Counted:
        words = request.text.split()
        return Counted(words=len(words), longest=max(words, key=len, default=""))

    def combine(self, request: Text, answers: Mapping[str, AgentAnswer]) -> Counted:
        return self.simulate(request)

    def context(self, request: Text) -> dict[str, Any]:
        return {"strict": request.strict}

    def check(self, request: Text, response: Counted) -> Sequence[str]:
        return [] if response.longest in request.text else [f"longest: '{response.longest}' is not in the text"]


class SayPlainly(CountWords):
    """Without agents: it has no agentic mode."""

    operation_id = "words.plain"
    template = "words/count.md.j2"
    agents = ()


def settings(home: Path, **more: object) -> LoadedSettings:
    values = {"data_dir": str(home / "data"), "durability": "normal", "retry_initial": 0.0, **more}
    return load_settings(values, {}, home, home)


GOOD = json.dumps({"words": 2, "longest": "hello"})
VIEW = json.dumps({"summary": "Seen.", "findings": [], "disagreements": []})


def replies(messages: Sequence[Message], options: InvokeOptions) -> str:
    """A good answer to whatever is asked: by the schema that is sent along."""
    assert options.response_schema is not None
    return GOOD if "words" in options.response_schema["properties"] else VIEW


def request(text: str = "hello you", **more: Any) -> LLMRequest:
    return LLMRequest(feature="words", operation="count", data={"text": text}, **more)


Work = Callable[[LLMOrchestrator, ScriptedLLM], Awaitable[Any]]


def over(home: Path, work: Work, *answers: Any, repeat: bool = False, **more: object) -> Any:
    """What `work` gives, done with operations over a model that gives `answers` in turn (none: good ones)."""

    async def go() -> Any:
        factory, scripted = scripted_factory(answers or (replies,), repeat=repeat or not answers)
        given = {"provider": "scripted", "model": "scripted", "mode": "real", **more}
        loaded = settings(home, **given)
        async with await open_operations(loaded, handlers=(CountWords, SayPlainly), factory=factory) as operations:
            return await work(operations, scripted)

    return asyncio.run(go())


def simulated(home: Path, work: Callable[[LLMOrchestrator], Awaitable[Any]], **more: object) -> Any:
    """What `work` gives, done with operations in simulated mode."""

    async def go() -> Any:
        async with await open_operations(settings(home, **more), handlers=(CountWords, SayPlainly)) as operations:
            return await work(operations)

    return asyncio.run(go())


def dumped(model: BaseModel) -> dict[str, Any]:
    return model.model_dump(mode="json")
