"""Which model fits a request: filtered by what it needs, then local or cheapest first; pure, and the same every time.

What is known of a model is data in `vendors/*.json` and a user's models.toml; which models can be used now is
`candidates.py`. What is not known of a model never fits a demand.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal
from urllib.parse import urlsplit

import msgspec

from orchestrator_v2.core.usage import NANO, Usage
from orchestrator_v2.llm.catalog import ModelInfo, dialect_of, is_retired, lifecycle_note
from orchestrator_v2.llm.origin import is_loopback
from orchestrator_v2.llm.prices import PriceRow, price

Preference = Literal["local", "cloud", "auto"]
# What prices are compared by: so much of a typical call is read, so much is written.
BLEND = Usage(input_tokens=3_000, output_tokens=1_000)


class Needs(msgspec.Struct, frozen=True):
    """What a request asks of a model; windows in tokens.

    `json_schema`: the wire itself holds the answer to a schema. Every model may be given one all the same: where the
    wire takes none, the layer says it in words, checks the answer and asks once more.
    """

    vision: bool = False
    tools: bool = False
    json_schema: bool = False
    min_context_window: int | None = None
    max_output: int | None = None


class Candidate(msgspec.Struct, frozen=True):
    """A model that was looked at. `local`: its server is this machine. `price` is None while it is unknown.

    `cost_of_a_call` is in nano-dollars for 3,000 tokens in and 1,000 out, uncached; None with an unknown price.
    """

    provider: str
    model: str
    local: bool
    price: PriceRow | None
    fits: bool
    why_not: tuple[str, ...]
    cost_of_a_call: int | None


class Decision(msgspec.Struct, frozen=True):
    """What was chosen and why, and all that was looked at: what fits first, the best first."""

    preference: Preference
    chosen: Candidate | None
    reason: str
    considered: tuple[Candidate, ...]
    warnings: tuple[str, ...] = ()


def misfits(info: ModelInfo, needs: Needs, *, now: float | None = None) -> tuple[str, ...]:
    """Why a model does not fit, a sentence for each reason; empty where it does.

    With `now` (epoch seconds) a retired one does not fit either. Behind a base_url of somebody's own none is retired.
    """
    found = [told for demand in _DEMANDS if (told := demand(info, needs))]
    if now is not None and not info.own_base_url and is_retired(info.facts, now):
        found.insert(0, f"It is retired since {info.facts.retires}.")
    return tuple(found)


def match(
    infos: Sequence[ModelInfo], needs: Needs, preference: Preference = "auto", *, now: float | None = None
) -> Decision:
    """The model of `infos` for a request; their order does not matter.

    `local` takes the cheapest that fits on this machine and, with a warning, the cheapest of the cloud where none
    does; `cloud` does not look at local ones; `auto` takes the cheapest that fits. An unknown price comes after all
    known ones; then the place in the provider's row decides, then the name. Retired models (with `now`) and models
    that make vectors are never chosen.
    """
    pool = [info for info in infos if not (preference == "cloud" and is_local(info.base_url))]
    ranked = sorted(
        ((_candidate(info, needs, now), info) for info in pool),
        key=lambda pair: (not pair[0].fits, preference == "local" and not pair[0].local, _rank(pair[1])),
    )
    considered = tuple(candidate for candidate, _ in ranked)
    chosen = considered[0] if considered and considered[0].fits else None
    if chosen is None:
        return Decision(preference, None, _none_fits(considered, preference), considered)
    leaving = "" if now is None else lifecycle_note(ranked[0][1], now)
    warnings = tuple(told for told in (*_warnings(chosen, preference), leaving) if told)
    return Decision(preference, chosen, _reason(chosen, considered, preference), considered, warnings)


def is_local(base_url: str) -> bool:
    """Whether a model's server is this machine."""
    return is_loopback(urlsplit(base_url).hostname or "")


def enforces_schema(info: ModelInfo) -> bool:
    """Whether the wire itself holds that model's answer to a JSON Schema."""
    if info.row.wire == "openai":
        return dialect_of(info, info.row).structured == "json_schema"
    return info.facts.json_schema or info.row.wire == "simulated"


def _candidate(info: ModelInfo, needs: Needs, now: float | None) -> Candidate:
    why_not = misfits(info, needs, now=now)
    cost = price(info.price, BLEND)
    return Candidate(info.provider, info.name, is_local(info.base_url), info.price, not why_not, why_not, cost)


def _rank(info: ModelInfo) -> tuple[bool, int, int, str, str, str]:
    """Cheapest first, unknown prices last; ties by the place in the provider's row, then by name."""
    cost = price(info.price, BLEND)
    names = list(info.row.models)
    place = names.index(info.name) if info.name in names else len(names)
    return (cost is None, cost or 0, place, info.provider, info.name, info.base_url)


def _reason(chosen: Candidate, considered: Sequence[Candidate], preference: Preference) -> str:
    fitting = [each for each in considered if each.fits and (preference == "auto" or each.local == chosen.local)]
    where = "" if preference == "auto" else " on this machine" if chosen.local else " in the cloud"
    cost = "its price is unknown" if chosen.cost_of_a_call is None else f"${chosen.cost_of_a_call / NANO:.6f} a call"
    return f"{chosen.provider}/{chosen.model} is the cheapest of {len(fitting)} that fit{where}: {cost}."


def _none_fits(considered: Sequence[Candidate], preference: Preference) -> str:
    if not considered:
        return f"There is no model to choose from (preference: {preference})."
    nearest = min(considered, key=lambda each: len(each.why_not))
    told = " ".join(nearest.why_not)
    return f"None of {len(considered)} models fits. The nearest is {nearest.provider}/{nearest.model}: {told}"


def _warnings(chosen: Candidate, preference: Preference) -> tuple[str, ...]:
    found = []
    if preference == "local" and not chosen.local:
        found.append(f"No local model fits, so {chosen.provider}/{chosen.model} in the cloud is used.")
    if chosen.cost_of_a_call is None:
        found.append(f"The price of {chosen.provider}/{chosen.model} is unknown; under a budget it is refused.")
    return tuple(found)


def _no_text(info: ModelInfo, needs: Needs) -> str:
    return "It makes vectors and no text." if info.facts.embeds else ""


def _no_vision(info: ModelInfo, needs: Needs) -> str:
    sends = info.row.wire != "openai" or dialect_of(info, info.row).images
    return _lacking(needs.vision, info.facts.vision if sends else False, "sees no pictures", "see pictures")


def _no_tools(info: ModelInfo, needs: Needs) -> str:
    return _lacking(needs.tools, info.facts.tools, "takes no tools here", "take tools")


def _lacking(wanted: bool, has: bool | None, lacks: str, does: str) -> str:
    if not wanted or has:
        return ""
    return f"It {lacks}." if has is False else f"It is not known to {does}."


def _no_schema(info: ModelInfo, needs: Needs) -> str:
    return "Its wire does not hold an answer to a schema." if needs.json_schema and not enforces_schema(info) else ""


def _small_window(info: ModelInfo, needs: Needs) -> str:
    return _too_few(needs.min_context_window, info.facts.window, "window")


def _short_answers(info: ModelInfo, needs: Needs) -> str:
    return _too_few(needs.max_output, info.facts.max_output, "longest answer")


def _too_few(wanted: int | None, has: int | None, what: str) -> str:
    if wanted is None or (has is not None and has >= wanted):
        return ""
    return f"Its {what} is not known." if has is None else f"Its {what} of {has:,} tokens is less than {wanted:,}."


# Each says why a model does not meet one demand, or nothing.
_DEMANDS: tuple[Callable[[ModelInfo, Needs], str], ...] = (
    _no_text,
    _no_vision,
    _no_tools,
    _no_schema,
    _small_window,
    _short_answers,
)
