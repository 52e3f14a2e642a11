"""From a brief to requirements: every phrase becomes what the catalog can build, or a named journal.

Reading the brief is `reading.py`, what answers add is `asking.py`; a whole project is made in `assembling.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from orchestrator_v2.agents.simulated import clean, naming
from orchestrator_v2.agents.simulated.assembling import assemble, criteria_of
from orchestrator_v2.agents.simulated.assuming import assumptions
from orchestrator_v2.agents.simulated.catalog import Catalog, load_catalog
from orchestrator_v2.agents.simulated.reading import Brief, Phrase, read_brief
from orchestrator_v2.agents.simulated.recognise import capabilities_in, collects, entities_in, kind_in, own_entity
from orchestrator_v2.agents.simulated.spec import Entity, Field, Requirement, Spec, Use

ALWAYS = ("records", "safety")
TITLE_FROM_PHRASE = 60
MOST_OWN_KINDS = 12
"""So many kinds of records are named after single words of the brief; further ones become journals."""


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
    source: str = "the brief"


class _Subject(msgspec.Struct, frozen=True):
    """The main kind of record, whether it was made up, every kind that is known, and the words that are limits."""

    primary: Entity
    own: bool
    kinds: Mapping[str, Entity]
    limits: tuple[str, ...]


def draft(raw: str, extra: Sequence[Phrase] = (), fields: Sequence[Field] = ()) -> Draft:
    """The whole project as it follows from a brief and from what was said later. Never raises.

    `fields` are added to a main kind of record that the templates do not know.
    """
    catalog = load_catalog()
    brief = read_brief(raw)
    subject = _subject(brief, fields, catalog)
    primary = subject.primary
    wishes = list(_wishes(brief, extra, subject, catalog))
    known = {use.capability for wish in wishes for use in wish.uses} - {"journal"}
    if _bare(known):
        wishes.append(_base("search", (primary.key,), catalog))
    kinds = _kinds(brief, wishes, subject, catalog)
    wishes += [_base("records", kinds, catalog), _base("safety", (primary.key,), catalog)]
    base = {key: subject.kinds[key] for key in kinds}
    requirements = tuple(_requirement(number, wish, base, catalog) for number, wish in enumerate(wishes, start=1))
    spec = assemble(brief.title, naming.package(brief.title), requirements, base, catalog)
    assumed = assumptions(brief, spec, own=subject.own, known=known, bare=_bare(known))
    return Draft(brief, spec, tuple(assumed), subject.own)


def _bare(known: set[str]) -> bool:
    """Projects with so few capabilities also get a search: small, and it makes a list usable."""
    return len(known - {"breaks"}) <= 2 and "search" not in known


def _subject(brief: Brief, fields: Sequence[Field], catalog: Catalog) -> _Subject:
    primary, own = _primary(brief, catalog)
    if own and fields:
        have = {field.name for field in primary.fields} | {"id", "created_at"}
        more = tuple(field for field in fields if field.name not in have)
        primary = msgspec.structs.replace(primary, fields=primary.fields + more)
    made = [kind for phrase in brief.phrases if phrase.asked and (kind := _kind(phrase, catalog)) is not None]
    named = {kind.key: kind for kind in made[:MOST_OWN_KINDS]}
    return _Subject(primary, own, named | catalog.entities | {primary.key: primary}, brief.constraints)


def _kind(phrase: Phrase, catalog: Catalog) -> Entity | None:
    known = capabilities_in(phrase.text, catalog) or entities_in(phrase.text, catalog)
    return None if known else kind_in(phrase.text, catalog)


def _primary(brief: Brief, catalog: Catalog) -> tuple[Entity, bool]:
    """The main kind of record, and whether it had to be made up from the subject's words."""
    if (known := _known(brief.subject, catalog)) is not None:
        return known, False
    own = own_entity(brief.subject, catalog)
    prose = "\n".join(phrase.text for phrase in brief.phrases if not phrase.bullet)
    named = [key for key in entities_in(prose, catalog) if not catalog.entities[key].made_by]
    if own is not None and (collects(brief.subject) or not named):
        return own, True
    if own is not None:
        return catalog.entities[named[0]], False
    known = _known("\n".join(phrase.text for phrase in brief.phrases), catalog)
    return (known, False) if known is not None else (catalog.entities["item"], True)


def _known(text: str, catalog: Catalog) -> Entity | None:
    """The kind of record of the catalog that the text is about."""
    named = entities_in(text, catalog)
    homes = [one.main or one.home for key in capabilities_in(text, catalog) if (one := catalog.capabilities[key]).home]
    strong = [home for home in homes if home not in ("member", "notification")]
    if strong and (not named or strong[0] == "session"):
        return catalog.entities[strong[0]]
    return catalog.entities["product" if named[0] == "order" else named[0]] if named else None


def _wishes(brief: Brief, extra: Sequence[Phrase], subject: _Subject, catalog: Catalog) -> Iterator[_Wish]:
    seen: set[str] = set()
    said: set[str] = set()
    for phrase in (*brief.phrases, *extra):
        if phrase.text.casefold() in said:
            continue
        said.add(phrase.text.casefold())
        found = capabilities_in(phrase.text, catalog)
        fresh = found if phrase.bullet else [key for key in found if key not in seen]
        seen.update(found)
        uses = tuple(_use(key, phrase.text, subject.primary, catalog) for key in fresh)
        yield from _wishes_of(phrase, uses, found, subject, catalog)


def _wishes_of(
    phrase: Phrase, uses: tuple[Use, ...], found: list[str], subject: _Subject, catalog: Catalog
) -> Iterator[_Wish]:
    quote, source = phrase.said or phrase.text, phrase.source
    parts = [use for use in uses if not catalog.capabilities[use.capability].part_of]
    if phrase.bullet or (len(parts) == 1 and len(phrase.text) <= TITLE_FROM_PHRASE):
        uses = uses or _kept(phrase, subject, catalog)
        if uses:
            yield _Wish(clean.short(phrase.text), quote, uses, source)
        return
    yield from (_Wish(catalog.capabilities[use.capability].title, quote, (use,), source) for use in uses)
    if not found and (kept := _kept(phrase, subject, catalog)):
        yield _Wish(clean.short(phrase.text), quote, kept, source)


def _kept(phrase: Phrase, subject: _Subject, catalog: Catalog) -> tuple[Use, ...]:
    """What asks for no capability asks for records of the kinds that it names; else it is a limit, or a journal."""
    if not phrase.asked:
        return ()
    named = entities_in(phrase.text, catalog)
    own = None if named else kind_in(phrase.text, catalog)
    if own is not None and own.key in subject.kinds:
        named = [own.key]
    if named or (phrase.said or phrase.text) in subject.limits:
        return tuple(Use("records", key) for key in named)
    return (Use("journal", "entry"),)


def _use(key: str, text: str, primary: Entity, catalog: Catalog) -> Use:
    capability = catalog.capabilities[key]
    if capability.home and not capability.flexible:
        return Use(key, capability.home)
    named = [name for name in entities_in(text, catalog) if not catalog.entities[name].made_by]
    if primary.key in named or not named:
        return Use(key, primary.key)
    return Use(key, named[0])


def _kinds(brief: Brief, wishes: list[_Wish], subject: _Subject, catalog: Catalog) -> tuple[str, ...]:
    named = [key for phrase in brief.phrases for key in entities_in(phrase.text, catalog)]
    used = [use.entity for wish in wishes for use in wish.uses if use.entity != "entry"]
    return tuple(dict.fromkeys([subject.primary.key, *named, *used]))


def _base(key: str, kinds: tuple[str, ...], catalog: Catalog) -> _Wish:
    return _Wish(catalog.capabilities[key].title, "", tuple(Use(key, kind) for kind in kinds))


def _requirement(number: int, wish: _Wish, base: Mapping[str, Entity], catalog: Catalog) -> Requirement:
    title = clean.quiet(wish.title[:1].upper() + wish.title[1:])
    plain = Requirement(f"R{number}", title, clean.quiet(wish.quote), wish.uses, source=wish.source)
    return msgspec.structs.replace(plain, criteria=criteria_of(plain, base, catalog))
