"""From a brief to requirements: every phrase becomes what the catalog can build, or a named journal.

Reading the brief is `reading.py`; turning requirements into a whole project is `assembling.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from orchestrator_v2.agents.simulated import clean, naming
from orchestrator_v2.agents.simulated.assembling import assemble, criteria_of
from orchestrator_v2.agents.simulated.catalog import Catalog, load_catalog
from orchestrator_v2.agents.simulated.reading import Brief, Phrase, read_brief
from orchestrator_v2.agents.simulated.recognise import capabilities_in, entities_in, own_entity
from orchestrator_v2.agents.simulated.spec import Entity, Requirement, Spec, Use

ALWAYS = ("records", "safety")
TITLE_FROM_PHRASE = 60
BARE = 2
"""Projects with no more capabilities than this also get a search: small, and it makes a list usable."""


class Draft(msgspec.Struct, frozen=True):
    """A brief, what it became, and what had to be assumed on the way."""

    brief: Brief
    spec: Spec
    assumptions: tuple[str, ...]
    own: bool


class _Wish(msgspec.Struct, frozen=True):
    title: str
    quote: str
    uses: tuple[Use, ...]


def draft(raw: str, answers: Mapping[str, str] | None = None, feedback: str = "") -> Draft:
    """The whole project as it follows from a brief, the answers to its questions, and feedback. Never raises."""
    catalog = load_catalog()
    brief = read_brief(raw)
    extra = [clean.line(text) for text in (*(answers or {}).values(), feedback) if text.strip()]
    primary, own = _primary(brief, catalog)
    wishes = list(_wishes(brief, extra, primary, catalog))
    known = {use.capability for wish in wishes for use in wish.uses} - {"journal"}
    if len(known) <= BARE and "search" not in known:
        wishes.append(_base("search", (primary.key,), catalog))
    kinds = _kinds(brief, wishes, primary, catalog)
    wishes += [_base("records", kinds, catalog), _base("safety", (primary.key,), catalog)]
    requirements = tuple(_requirement(number, wish, primary, catalog) for number, wish in enumerate(wishes, start=1))
    base = {primary.key: primary} | {key: catalog.entities[key] for key in kinds if key in catalog.entities}
    spec = assemble(brief.title, naming.package(brief.title), requirements, base, catalog)
    return Draft(brief, spec, tuple(_assumptions(brief, spec, own, known)), own)


def _primary(brief: Brief, catalog: Catalog) -> tuple[Entity, bool]:
    """The main kind of record, and whether it had to be made up from the subject's words."""
    everything = "\n".join(phrase.text for phrase in brief.phrases)
    for text in (brief.subject, everything):
        named = entities_in(text, catalog)
        homes = [
            one.main or one.home for key in capabilities_in(text, catalog) if (one := catalog.capabilities[key]).home
        ]
        strong = [home for home in homes if home not in ("member", "notification")]
        if strong and (not named or strong[0] == "session"):
            return catalog.entities[strong[0]], False
        if named:
            return catalog.entities["product" if named[0] == "order" else named[0]], False
        if text is brief.subject and (own := own_entity(brief.subject, catalog)) is not None:
            return own, True
    return catalog.entities["item"], True


def _wishes(brief: Brief, extra: list[str], primary: Entity, catalog: Catalog) -> Iterator[_Wish]:
    seen: set[str] = set()
    said: set[str] = set()
    for phrase in (*brief.phrases, *(Phrase(text) for text in extra)):
        if phrase.text.casefold() in said:
            continue
        said.add(phrase.text.casefold())
        found = capabilities_in(phrase.text, catalog)
        fresh = found if phrase.bullet else [key for key in found if key not in seen]
        seen.update(found)
        uses = tuple(_use(key, phrase.text, primary, catalog) for key in fresh)
        if phrase.bullet or (len(uses) == 1 and len(phrase.text) <= TITLE_FROM_PHRASE):
            title = clean.short(phrase.text)
            if uses or phrase.asked:
                yield _Wish(title, phrase.text, uses or _kept(phrase.text, catalog))
            continue
        yield from (_Wish(catalog.capabilities[use.capability].title, phrase.text, (use,)) for use in uses)
        if not found and phrase.asked:
            yield _Wish(clean.short(phrase.text), phrase.text, _kept(phrase.text, catalog))


def _kept(text: str, catalog: Catalog) -> tuple[Use, ...]:
    """What asks for no capability asks for records of the kinds that it names, or else becomes a journal."""
    return tuple(Use("records", key) for key in entities_in(text, catalog)) or (Use("journal", "entry"),)


def _use(key: str, text: str, primary: Entity, catalog: Catalog) -> Use:
    capability = catalog.capabilities[key]
    if capability.home and not capability.flexible:
        return Use(key, capability.home)
    named = [name for name in entities_in(text, catalog) if not catalog.entities[name].made_by]
    if primary.key in named or not named:
        return Use(key, primary.key)
    return Use(key, named[0])


def _kinds(brief: Brief, wishes: list[_Wish], primary: Entity, catalog: Catalog) -> tuple[str, ...]:
    named = [key for phrase in brief.phrases for key in entities_in(phrase.text, catalog)]
    used = [use.entity for wish in wishes for use in wish.uses if use.entity != "entry"]
    return tuple(dict.fromkeys([primary.key, *named, *used]))


def _base(key: str, kinds: tuple[str, ...], catalog: Catalog) -> _Wish:
    return _Wish(catalog.capabilities[key].title, "", tuple(Use(key, kind) for kind in kinds))


def _requirement(number: int, wish: _Wish, primary: Entity, catalog: Catalog) -> Requirement:
    title = clean.quiet(wish.title[:1].upper() + wish.title[1:])
    plain = Requirement(f"R{number}", title, clean.quiet(wish.quote), wish.uses)
    return msgspec.structs.replace(plain, criteria=criteria_of(plain, primary, catalog))


def _assumptions(brief: Brief, spec: Spec, own: bool, known: set[str]) -> Iterator[str]:
    yield "One person uses it on one machine at a time; the data is a file on that machine."
    if own:
        yield (
            "The brief names no kind of record that the templates know, "
            f"so it keeps {spec.primary.plural} with a name and details."
        )
    else:
        yield f"It is mainly about {spec.primary.plural}; their fields are in the data model and can be changed there."
    if len(known) <= BARE and "search" not in known:
        yield "The brief is short: a search is added, because a list without one is of little use."
    if "web" in known:
        yield "Pages in a browser are out of scope for these templates; an HTTP service answers with JSON instead."
    if "outbox" in known:
        yield "Nothing is sent over a network: notifications wait in an outbox for a sender of your own."
    if "members" in known:
        yield "Roles decide who may assign; there are no passwords, because there is no server to log in to."
    for feature in spec.features:
        named = f"{feature.requirement} ({clean.short(feature.title, 60)})"
        yield f"{named} is nothing the templates know how to build: it becomes a named journal."
    if brief.language not in ("English", "not detected"):
        yield f"The brief is in {brief.language}; its words are kept as they are, what is added is English."
