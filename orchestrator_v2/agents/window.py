"""What goes into a prompt when not everything fits: how much room there is, which documents go first.

The relevance of a document is a table; the prompt itself is made by `prompt_builder.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

import msgspec

from orchestrator_v2.agents.quoting import quote
from orchestrator_v2.engine.patterns import matches
from orchestrator_v2.llm.base import Invoker
from orchestrator_v2.llm.catalog import ModelRow, ProviderRow, load_catalog
from orchestrator_v2.llm.client import LLMClient

Count = Callable[[str], int]

# How much a file matters to a phase that did not ask for it by name; the first pattern that fits counts.
RELEVANCE: tuple[tuple[str, int], ...] = (
    ("docs/requirements.md", 60),
    ("docs/architecture.md", 50),
    ("docs/data-model.*", 45),
    ("src/**", 40),
    ("pyproject.toml", 35),
    ("docs/intake.md", 30),
    ("tests/**", 20),
    ("docs/reviews/**", 5),
    ("**", 10),
)
ASKED_FOR = 100  # the phase's `inputs` name it
DIRECT = 50  # a phase that this one needs made it
OWN_LAST_ROUND = 500
OWN_THIS_TASK = 600

UNKNOWN_WINDOW = 128_000
UNKNOWN_OUTPUT = 32_000
CORRECTION_TOKENS = 5_000  # kept free for a corrective turn: the bad answer's beginning and what is wrong with it


class Room(msgspec.Struct, frozen=True):
    """How a model's window is shared, in tokens."""

    answer: int
    prompt: int


def room_for(provider: str, model: str, wanted: int, facts: ModelRow | None = None) -> Room:
    """The shares for an answer of `wanted` tokens; a small window gives a quarter of itself to the answer.

    `facts` are the model's, where a user's own rows may know it better than those of the package.
    """
    facts = facts or load_catalog().get(provider, ProviderRow()).models.get(model, ModelRow())
    window = facts.window or UNKNOWN_WINDOW
    most = min(facts.max_output or UNKNOWN_OUTPUT, window // 4)
    # Twice the answer is kept free: one that was cut off is asked for again with twice the cap.
    return Room(min(wanted, most), window - min(2 * wanted, most) - min(CORRECTION_TOKENS, window // 8))


def room_of(client: Invoker, wanted: int) -> Room:
    """The room in that client's model, by what the client itself knows of it."""
    facts = client.info.facts if isinstance(client, LLMClient) else None
    return room_for(client.provider, client.model, wanted, facts)


class Document(msgspec.Struct, frozen=True):
    """A quoted file with its relevance; `place` is upstream, current (last round) or made (this task)."""

    path: str
    block: str
    relevance: int
    place: str = "upstream"


def relevance_of(path: str, inputs: Sequence[str], direct: Collection[str]) -> int:
    base = next(score for pattern, score in RELEVANCE if matches(path, (pattern,)))
    return base + ASKED_FOR * matches(path, inputs) + DIRECT * (path in direct)


def upstream_documents(
    texts: Mapping[str, str], inputs: Sequence[str], direct: Collection[str]
) -> tuple[Document, ...]:
    """The upstream files in the order given, each quoted."""
    return tuple(
        Document(path, quote("file", text, path), relevance_of(path, inputs, direct)) for path, text in texts.items()
    )


def own_documents(texts: Mapping[str, str], place: str, relevance: int) -> tuple[Document, ...]:
    return tuple(Document(path, quote("file", text, path), relevance, place) for path, text in texts.items())


def least_relevant(documents: Sequence[Document], over: int, count: Count) -> tuple[Document, ...]:
    """The least relevant documents, whole, whose estimated tokens reach `over`; of equals the larger goes first."""
    sizes = {document: count(document.block) for document in documents}
    order = sorted(documents, key=lambda one: (one.relevance, -sizes[one], one.path))
    chosen: list[Document] = []
    freed = 0
    for document in order:
        if freed >= over:
            break
        chosen.append(document)
        freed += sizes[document]
    return tuple(chosen)
