"""What had to be assumed where the brief and the answers say nothing, in sentences for the intake page.

What is asked instead of assumed is `asking.py`.
"""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator_v2.agents.simulated import clean
from orchestrator_v2.agents.simulated.reading import Brief
from orchestrator_v2.agents.simulated.spec import Spec

_BUILT_AS = {
    "web": "Pages in a browser are out of scope for these templates; an HTTP service answers with JSON instead.",
    "outbox": "Nothing is sent over a network: notifications wait in an outbox for a sender of your own.",
    "members": "Roles decide who may assign; there are no passwords, because there is no server to log in to.",
}


def assumptions(brief: Brief, spec: Spec, *, own: bool, known: set[str], bare: bool) -> Iterator[str]:
    """One sentence for each; `known` are the capabilities that are asked for."""
    who = "Several people use it, one at a time," if "members" in known else "One person uses it"
    yield f"{who} on one machine; the data is a file on that machine."
    if own:
        fields = ", ".join(field.name.replace("_", " ") for field in spec.primary.fields if field.editable)
        yield (
            "The brief names no kind of record that the templates know, "
            f"so it keeps {spec.primary.plural} with these fields: {fields}."
        )
    else:
        yield f"It is mainly about {spec.primary.plural}; their fields are in the data model and can be changed there."
    if bare:
        yield "The brief is short: a search is added, because a list without one is of little use."
    yield from (words for capability, words in _BUILT_AS.items() if capability in known)
    for feature in spec.features:
        named = f"{feature.requirement} ({clean.short(feature.title, 60)})"
        yield f"{named} is nothing the templates know how to build: it becomes a named journal."
    if brief.language not in ("English", "not detected"):
        yield f"The brief is in {brief.language}; its words are kept as they are, what is added is English."
