"""What simulated mode finds in design pillars, and what is wrong with an answer about them that fits its schema.

Every operation in both modes over models is `tests/contracts/test_operations_contract.py`.
"""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from orchestrator_v2.agents.templates import load_templates
from orchestrator_v2.operations.features.pillars.checks import verdict_of
from orchestrator_v2.operations.features.pillars.handlers import (
    HANDLERS,
    EvaluateCompleteness,
    EvaluateContext,
    EvaluateContradictions,
    Improve,
    SuggestAdditions,
    Validate,
)
from orchestrator_v2.operations.features.pillars.words import words
from orchestrator_v2.operations.handler import AgentAnswer

GAME = {
    "title": "Tidewater",
    "genre": "cosy farming sim",
    "audience": "families with children",
    "core_loop": "plant, trade and rebuild the village",
    "platform": "mobile",
    "constraints": ["two people", "eight months", "no network"],
}
CALM = {
    "name": "Calm Mornings",
    "description": "Every day begins slowly: the player feels calm and is never pushed by a timer.",
    "priority": 1,
}
STORMS = {"name": "Frantic Storms", "description": "Fast, brutal storms destroy what the player built.", "priority": 2}
FUN = {"name": "Fun", "description": "Very fun and engaging gameplay."}
HUGE = {
    "name": "Huge World",
    "description": "A vast open world with hundreds of villages. Online multiplayer. Everyone trades together. Yes.",
}
LIVE = {
    "name": "Leave Traces",
    "description": "What one player builds stays for the next one; nobody is ever met face to face.",
}


def asked(kind: type, *pillars: dict[str, Any], **more: Any) -> Any:
    return kind.request_schema.model_validate({"pillars": list(pillars), **more})


def answered(kind: type, *pillars: dict[str, Any], **more: Any) -> Any:
    """The simulated answer, having passed its own check."""
    request = asked(kind, *pillars, **more)
    answer = kind().simulate(request)
    assert list(kind().check(request, answer)) == []
    return answer


def agentic(kind: type, request: Any, leave_out: tuple[str, ...] = ()) -> Any:
    """Both rounds and the fold, as the runner does them, without the agents named."""
    handler = kind()
    agents = [agent for agent in handler.agents if agent.name not in leave_out]
    first = {agent.name: handler.simulate_agent(agent, request, {}) for agent in agents}
    second = {
        agent.name: handler.simulate_agent(
            agent, request, {name: answer for name, answer in first.items() if name != agent.name}
        )
        for agent in agents
    }
    return handler.combine(request, second), second


@pytest.mark.parametrize(
    ("pillars", "field"),
    [
        ([], "pillars"),
        ([{"name": " "}], "pillars.0.name"),
        ([{"name": "A\nB"}], "pillars.0.name"),
        ([{"name": "Same  Name"}, {"name": "same name"}], "pillars"),
        ([{"name": str(number)} for number in range(21)], "pillars"),
        ([{"name": "A", "colour": "red"}], "pillars.0.colour"),
        ([{"name": "A", "description": "x" * 20_001}], "pillars.0.description"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused_with_its_place(pillars: list[Any], field: str) -> None:
    """Empty, blank, doubled, too many, unknown and too long each name the field they are about."""
    with pytest.raises(ValidationError) as error:
        asked(Validate, *pillars)
    assert field in {".".join(map(str, one["loc"])) for one in error.value.errors()}


def test_verdicts_follow_from_what_is_said() -> None:
    """A pillar that decides is one; praise of oneself is none, and the words are quoted."""
    calm, fun = answered(Validate, CALM, FUN).pillars
    assert (calm.verdict, calm.score, calm.issues) == ("pillar", 100, [])
    assert fun.verdict == "not_a_pillar"
    assert {issue.criterion for issue in fun.issues} == {"clear", "distinctive", "actionable", "testable"}
    assert "“engaging”, “fun”" in fun.issues[0].statement


def test_what_rules_something_out_is_testable() -> None:
    """A negator is enough, and without it the pillar is told that it rules nothing out."""
    for description, count in (("The player builds without haste.", 0), ("The player builds in haste.", 1)):
        issues = answered(Validate, {"name": "X", "description": description}).pillars[0].issues
        assert [one.criterion for one in issues] == ["testable"] * count


def test_pillars_of_much_the_same_words_are_named() -> None:
    """Not word for word, and still: both are told how much, and the set is told once. One alone is no set."""
    one = {"name": "Trade", "description": "Players trade fish and salt with every village on the coast."}
    other = {"name": "Barter", "description": "Players trade salt and fish with every village near the coast."}
    answer = answered(Validate, one, other)
    assert "It shares 71 % of its words with “Barter”." in answer.pillars[0].issues[0].statement
    assert len(answer.set_issues) == 1
    assert answered(Validate, one).set_issues == ["One pillar alone cannot be weighed against another."]


@pytest.mark.parametrize(
    ("description", "said"),
    [
        ("The player collects a season pass every month.", "a goal of the business"),
        ("Every level is built in Unity.", "a choice of technology"),
    ],
)
def test_what_is_taken_for_a_pillar_is_named(description: str, said: str) -> None:
    """Money and technology decide much, but not the design."""
    verdict = answered(Validate, {"name": "X", "description": description}).pillars[0]
    assert verdict.verdict == "weak"
    assert any(said in issue.statement for issue in verdict.issues)


def test_inflected_praise_is_praise() -> None:
    """A German adjective is found with its ending, and quoted by its stem."""
    issue = answered(Validate, {"name": "Bild", "description": "Sehr schöne und spannende Welt."}).pillars[0].issues[0]
    assert "“schöne…”, “spannend…”" in issue.statement


def test_a_missing_description_is_critical() -> None:
    """A name alone cannot serve, and no further fault is made up for it."""
    verdict = answered(Validate, {"name": "Wonder"}).pillars[0]
    assert [(one.criterion, one.severity) for one in verdict.issues] == [("clear", "critical")]


def test_identical_descriptions_are_named_on_both_and_in_the_set() -> None:
    """Both pillars lose their verdict for it, each naming the other."""
    answer = answered(Validate, CALM, {**CALM, "name": "Slow Days"})
    assert [one.verdict for one in answer.pillars] == ["weak", "weak"]
    assert "“Slow Days”" in answer.pillars[0].issues[0].statement
    assert any("much the same" in issue for issue in answer.set_issues)


def test_a_long_pillar_and_a_long_list_are_said_so() -> None:
    """Size is measured in the pillar, and in the set of them."""
    many = [{"name": f"P{number}", "description": f"Players choose road {number} of nine."} for number in range(20)]
    assert any("There are 20 pillars" in issue for issue in answered(Validate, *many).set_issues)
    long = answered(Validate, {"name": "Long", "description": "The player builds a bridge. " * 700})
    assert long.pillars[0].issues[0].severity == "major"
    assert "of what was read" in long.pillars[0].issues[0].statement


def test_a_language_that_is_not_read_is_judged_by_form_alone() -> None:
    """Thai is not held to words that nobody looked for; German, French, Spanish and Japanese are read."""
    thai = {"name": "ยามเช้า", "description": "ทุกเช้าเริ่มต้นอย่างช้าๆ และไม่มีใครเร่งรีบ"}
    issues = answered(Validate, thai).pillars[0].issues
    assert [(one.severity, "no language that is read" in one.statement) for one in issues] == [("info", True)]
    gaps = answered(EvaluateCompleteness, thai).gaps
    assert {gap.severity for gap in gaps} == {"minor"}
    assert "may speak of it" in gaps[0].statement
    assert answered(EvaluateContext, thai, game=GAME).pillars[0].fit == "unknown"
    for slow, fast in (
        ("Der Spieler fühlt sich ruhig.", "Schnelle Kämpfe."),
        ("Un rythme lent et calme.", "Des combats rapides."),
        ("Un ritmo tranquilo.", "Combates rápidos."),
        ("のんびり暮らす。", "高速で戦う。"),
    ):
        found = answered(EvaluateContradictions, {"name": "A", "description": slow}, {"name": "B", "description": fast})
        assert [one.severity for one in found.contradictions] == ["major"], slow


@pytest.mark.parametrize("kind", HANDLERS, ids=lambda kind: kind.operation_id)
@pytest.mark.parametrize(
    "pillars",
    [
        [{"name": "🎮", "description": "🔥🔥🔥"}],
        [{"name": "A", "description": "\x07\u202e"}],
        [{"name": "very", "description": "very very"}],
        [{"name": "x", "description": "w" * 20_000}],
        [{"name": "n " * 59 + "n", "description": "The player runs."}, {"name": "n n n n n n"}],
        [{"name": f"{number}", "description": "好" * 20_000} for number in range(20)],
        [{"name": f"P{number}", "description": "Fast and slow, alone with friends."} for number in range(20)],
    ],
    ids=["emoji", "controls", "loud", "one long word", "long name", "20 long", "20 alike"],
)
def test_odd_pillars_get_sound_answers_in_both_modes(kind: type, pillars: list[Any]) -> None:
    """Whatever is given, the answer passes the operation's own check."""
    request = asked(kind, *pillars)
    answered(kind, *pillars)
    combined, _ = agentic(kind, request)
    assert list(kind().check(request, combined)) == []


TEXT = st.lists(
    st.sampled_from(
        ["fast", "slow", "no", "never", "fun", "very", "builds", "alone", "together", ".", ":", "ไม่", "火"]
    ),
    max_size=12,
).map(" ".join)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.text("abc é好🎮", min_size=1, max_size=4), TEXT), min_size=1, max_size=5), TEXT, TEXT)
def test_any_answer_of_simulated_mode_passes_its_own_check(rows: list[tuple[str, str]], loop: str, who: str) -> None:
    """The laws that bind a model bind the heuristics, in both modes, and both say the same twice."""
    data = {
        "pillars": [{"name": name, "description": text} for name, text in rows],
        "game": {"core_loop": loop, "audience": who},
    }
    for kind in HANDLERS:
        try:
            request = kind.request_schema.model_validate(data)
        except ValidationError:
            continue
        handler = kind()
        for answer in (handler.simulate(request), agentic(kind, request)[0]):
            assert list(handler.check(request, answer)) == []
        assert handler.simulate(request) == kind().simulate(request)


def test_an_improvement_changes_only_what_has_a_rule() -> None:
    """A good pillar stays as it is; others are cut or tied to the loop, and what is not known is asked."""
    calm, fun, huge, bare = answered(Improve, CALM, FUN, HUGE, {"name": "Wonder"}, game=GAME).pillars
    assert (calm.description, calm.changes, calm.questions) == (CALM["description"], [], [])
    assert fun.description == f"Fun and engaging gameplay. It shows in the core loop: {GAME['core_loop']}."
    assert [one.what for one in fun.changes] == ["Left out: “Very”.", "Tied to the core loop."]
    assert "“engaging”, “fun”" in fun.questions[0]
    assert huge.description == "A vast open world with hundreds of villages. Online multiplayer."
    assert bare.description == "Wonder. It shows in the core loop: plant, trade and rebuild the village."


def test_a_long_name_is_cut_unless_the_short_one_is_taken() -> None:
    """A name is cut at its first mark; where another pillar has that name, it stays."""
    long = {"name": "Build Together: every house is the work of several hands", "description": "Players build."}
    assert answered(Improve, long).pillars[0].new_name == "Build Together"
    taken = answered(Improve, long, {"name": "build together", "description": "Players never build alone."})
    assert taken.pillars[0].new_name == long["name"]


def test_two_names_are_not_cut_to_one() -> None:
    """The second of two that begin alike keeps its own."""
    names = [f"Build Together: {more} of many hands and many days" for more in ("houses", "boats")]
    pillars = answered(Improve, *({"name": name, "description": "Players build."} for name in names)).pillars
    assert [one.new_name for one in pillars] == ["Build Together", names[1]]


def test_nothing_is_said_twice_and_nothing_asked_for_nothing() -> None:
    """A loop that stands there already is not added again; a language that is not read raises no question."""
    there = {"name": "Rhythm", "description": "The rhythm of day and night."}
    assert answered(Improve, there, game={"core_loop": "day and night"}).pillars[0].changes == []
    thai = {"name": "ยามเช้า", "description": "ทุกเช้าเริ่มต้นอย่างช้าๆ และไม่มีใครเร่งรีบ."}
    assert answered(Improve, thai).pillars[0].questions == []


def test_sides_are_found_where_a_description_speaks_of_them() -> None:
    """What a description says covers; a name alone is partly; what nothing says is a gap with its question."""
    answer = answered(EvaluateCompleteness, CALM, {"name": "Story", "description": "Players choose."}, game=GAME)
    found = {one.side: (one.coverage, one.pillars) for one in answer.sides}
    assert found["experience"] == ("covered", ["Calm Mornings"])
    assert found["theme"] == ("partly", ["Story"])
    assert found["feasibility"] == ("missing", [])
    assert "feasibility" in {gap.side for gap in answer.gaps}


def test_what_is_missing_weighs_more_than_what_is_partly_there() -> None:
    """A central side without a word is major, one with a name is minor; suggestions come in the same order."""
    named = {"name": "Feelings", "description": "Written down nowhere."}
    gaps = {gap.side: gap.severity for gap in answered(EvaluateCompleteness, named).gaps}
    assert (gaps["experience"], gaps["mechanics"], gaps["theme"]) == ("minor", "major", "minor")
    order = [one.fills[0] for one in answered(SuggestAdditions, named, at_most=6).suggestions]
    assert (order[0], order[-1]) == ("mechanics", "experience")


def test_the_heaviest_contradiction_comes_first() -> None:
    """A critical pair goes before a minor one that stands before it in the request."""
    answer = answered(
        EvaluateContradictions,
        {"name": "Luck", "description": "Random maps."},
        {"name": "Craft", "description": "Handcrafted places in one room."},
        {"name": "Size", "description": "A vast sea."},
    )
    assert [one.severity for one in answer.contradictions] == ["critical", "minor"]


def test_contradictions_are_pairs_at_two_poles_or_a_refusal() -> None:
    """Haste against calm, and a word that one rules out and the other asks for; a pillar at both poles is no pair."""
    answer = answered(EvaluateContradictions, CALM, STORMS, LIVE)
    assert [(one.first, one.second, one.severity) for one in answer.contradictions] == [
        ("Calm Mornings", "Frantic Storms", "major")
    ]
    assert "“Calm Mornings” goes first by its priority" in answer.contradictions[0].reconcile
    refused = answered(
        EvaluateContradictions,
        {"name": "Unarmed", "description": "There are never any weapons."},
        {"name": "Smithy", "description": "The player forges weapons for the village."},
    )
    assert "“Unarmed” rules out what “Smithy” speaks of: “weapon”." in refused.contradictions[0].tension
    both = {"name": "Both", "description": "Fast fights and slow walks."}
    assert answered(EvaluateContradictions, both, CALM).coherent
    assert "pulls both ways" in answered(Validate, both).pillars[0].issues[0].statement


@pytest.mark.parametrize("turned", [False, True])
def test_a_refusal_is_seen_from_either_side(turned: bool) -> None:
    """It does not matter which of the two stands first."""
    pair = [{"name": "Peace", "description": "No weapons."}, {"name": "War", "description": "Many weapons."}]
    answer = answered(EvaluateContradictions, *(reversed(pair) if turned else pair))
    assert "“Peace” rules out what “War” speaks of" in answer.contradictions[0].tension


@pytest.mark.parametrize("kind", HANDLERS, ids=lambda kind: kind.operation_id)
def test_no_two_agents_say_the_same(kind: type) -> None:
    """Each looks from one side only: what one finds, no other does."""
    request = asked(kind, CALM, STORMS, FUN, HUGE, game=GAME)
    handler = kind()
    found = [
        (one.about, one.statement)
        for agent in handler.agents
        for one in handler.simulate_agent(agent, request, {}).findings
    ]
    assert found
    assert len(set(found)) == len(found)


def test_what_is_ruled_out_is_not_asked_for() -> None:
    """ "Never fast" is not at the pole of haste."""
    slow = {"name": "Breath", "description": "The player is never rushed, and nothing fast happens."}
    assert answered(EvaluateContradictions, CALM, slow).contradictions == []


def test_two_that_rule_out_the_same_agree() -> None:
    """A word that both refuse is asked for by neither."""
    pair = [{"name": name, "description": "There are never any weapons."} for name in ("Peace", "Quiet")]
    assert answered(EvaluateContradictions, *pair).coherent


def test_the_games_own_words_count_for_its_audience() -> None:
    """What no list knows is known from what the game says of itself."""
    pillar = {"name": "Stars", "description": "Astronomers choose where to look."}
    for audience, coverage in (("astronomers", "covered"), ("sailors", "missing")):
        sides = answered(EvaluateCompleteness, pillar, game={"audience": audience}).sides
        assert {one.side: one.coverage for one in sides}["audience"] == coverage


def test_a_refusal_can_be_what_does_not_fit() -> None:
    """Words that begin with a negator mean something as they stand: a fighting loop without violence is no loop."""
    pillar = {"name": "Gentle", "description": "Everything goes without violence."}
    found = answered(EvaluateContext, pillar, game={"core_loop": "fight, loot, fight again"}).pillars[0]
    assert [one.aspect for one in found.mismatches] == ["core_loop"]


def test_only_the_beginning_of_an_endless_text_is_read() -> None:
    """A word beyond it is not found, and the answer says that it spoke of what was read."""
    text = f"{'The sea is wide. ' * 200} Players build."
    issues = answered(Validate, {"name": "Sea", "description": text}).pillars[0].issues
    assert "of what was read" in issues[0].statement
    assert "actionable" in {one.criterion for one in issues}


def test_one_pillar_contradicts_nobody() -> None:
    """There is no pair, and so nothing to say."""
    assert answered(EvaluateContradictions, STORMS).coherent


def test_suggestions_fill_the_gaps_with_what_the_game_says() -> None:
    """As many as wanted, the widest first, in the game's own words, and under names that are free."""
    some = answered(SuggestAdditions, LIVE, game=GAME, at_most=2)
    gaps = [gap.side for gap in answered(EvaluateCompleteness, LIVE, game=GAME).gaps]
    assert [one.fills[0] for one in some.suggestions] == gaps[:2]
    taken = [{"name": name} for filling in words().additions for name in filling.names]
    free = answered(SuggestAdditions, *taken, game=GAME, at_most=6).suggestions
    assert free
    assert not {one.name for one in free} & {pillar["name"] for pillar in taken}
    assert any(GAME["audience"] in one.description for one in free)


def test_nothing_is_suggested_where_nothing_is_missing() -> None:
    """With every side covered the list is empty, and completeness is 100."""
    whole = {
        "name": "All",
        "description": "Players feel wonder as they explore; unlike others, beginners see one room about memory, "
        "small enough for us.",
    }
    assert answered(EvaluateCompleteness, whole).score == 100
    assert answered(SuggestAdditions, whole).suggestions == []


def test_the_context_speaks_against_what_does_not_fit() -> None:
    """Brutality for children is critical; size against two people, too; what shares the loop's words is strong."""
    trade = {"name": "Fair Trade", "description": "Players trade with every village, and nobody is cheated."}
    storms, huge, fair = answered(EvaluateContext, STORMS, HUGE, trade, game=GAME).pillars
    assert [(one.aspect, one.severity) for one in storms.mismatches] == [("audience", "critical"), ("genre", "major")]
    assert {one.aspect for one in huge.mismatches} == {"constraints"}
    assert (fair.fit, fair.mismatches) == ("strong", [])
    assert "“trade”, “village”" in fair.reasons[0]


def test_without_a_context_nothing_is_known_of_the_fit() -> None:
    """All six aspects are missing, and every fit is unknown."""
    answer = answered(EvaluateContext, STORMS)
    assert (len(answer.missing), answer.pillars[0].fit) == (6, "unknown")


def test_agents_say_what_the_single_answer_says() -> None:
    """Both modes judge alike; the agentic summary adds who it stands on."""
    request = asked(Validate, CALM, FUN)
    combined, second = agentic(Validate, request)
    assert combined.pillars == Validate().simulate(request).pillars
    assert "4 of 4 specialists answered" in combined.summary
    assert second["decisions"].disagreements == ["Fun: major to the clarity editor, and only minor from my side."]


def test_who_finds_it_heavy_too_does_not_differ() -> None:
    """A minor remark beside a major one of the agent's own is no disagreement."""
    _, second = agentic(Validate, asked(Validate, FUN, {**FUN, "name": "Play"}))
    assert {one.severity for one in second["distinctiveness"].findings if one.about == "Fun"} == {"major", "minor"}
    assert second["distinctiveness"].disagreements == []


def test_who_did_not_answer_is_named() -> None:
    """The sides of agents that are missing are read from the data, and the summary says whose they are."""
    request = asked(Validate, FUN)
    combined, _ = agentic(Validate, request, leave_out=("clarity",))
    assert combined.pillars == Validate().simulate(request).pillars
    assert "3 of 4 specialists answered" in combined.summary
    assert "in place of: clarity editor" in combined.summary


def test_the_sum_stands_on_what_the_agents_said() -> None:
    """Where all of them take their findings back, nothing is held against the pillar."""
    request = asked(Validate, FUN)
    silent = {agent.name: AgentAnswer(summary="Nothing.") for agent in Validate.agents}
    assert Validate().combine(request, silent).pillars[0].score == 100


def test_an_agent_gives_its_weightiest_finding_first() -> None:
    """A major finding goes before a minor one, whatever the order of the pillars."""
    request = asked(Validate, {"name": "Fun", "description": "Players choose."}, CALM, {**CALM, "name": "Again"})
    found = Validate().simulate_agent(Validate.agents[1], request, {}).findings
    assert [one.severity for one in found] == ["major", "major", "minor"]


def test_a_finding_is_left_to_whom_it_stands_before() -> None:
    """What an earlier specialist says in the same words is not said twice."""
    request = asked(Validate, FUN)
    handler = Validate()
    clarity, other = handler.agents[0], handler.agents[1]
    said = handler.simulate_agent(other, request, {})
    echo = AgentAnswer(summary="The same.", findings=said.findings)
    assert said.findings
    assert handler.simulate_agent(other, request, {clarity.name: echo}).findings == []
    first = handler.simulate_agent(clarity, request, {})
    echo = AgentAnswer(summary="The same.", findings=first.findings)
    assert handler.simulate_agent(clarity, request, {other.name: echo}).findings == first.findings


def test_the_prompt_and_the_check_have_the_same_bounds() -> None:
    """What the template says of scores and verdicts is what is held against an answer."""
    assert [verdict_of(score) for score in (100, 70, 69, 40, 39, 0)] == [
        "pillar",
        "pillar",
        "weak",
        "weak",
        "not_a_pillar",
        "not_a_pillar",
    ]
    text = load_templates()["operations/pillars/validate.md.j2"]
    assert "70 and above `pillar`, 40 to 69 `weak`, below 40 `not_a_pillar`" in text


BREAKS: list[tuple[type, str, Any]] = [
    (Validate, "it must be there once", lambda it: it["pillars"].pop()),
    (Validate, "there is no pillar 'Nobody'", lambda it: it["pillars"][0].update(name="Nobody")),
    (Validate, "goes with the verdict pillar", lambda it: it["pillars"][0].update(verdict="weak")),
    (
        Validate,
        "critical issue and yet",
        lambda it: it["pillars"][0].update(issues=[{"criterion": "clear", "severity": "critical", "statement": "x"}]),
    ),
    (Validate, "needs an issue", lambda it: it["pillars"][2].update(issues=[])),
    (Validate, "outside the pillars' own scores", lambda it: it.update(score=1)),
    (Improve, "given to more than one", lambda it: it["pillars"][0].update(new_name="Fun", changes=[CHANGE])),
    (Improve, "must not be empty", lambda it: it["pillars"][0].update(description=" ", changes=[CHANGE])),
    (Improve, "does not say what and why", lambda it: it["pillars"][0].update(description="Quite another thing.")),
    (Improve, "is as it was", lambda it: it["pillars"][0].update(changes=[CHANGE])),
    (EvaluateCompleteness, "the side 'theme' is there 2 times", lambda it: it["sides"][0].update(side="theme")),
    (EvaluateCompleteness, "there is no pillar 'Nobody'", lambda it: it["sides"][0].update(pillars=["Nobody"])),
    (EvaluateCompleteness, "named twice", lambda it: it["sides"][0].update(pillars=["Fun", "Fun"])),
    (EvaluateCompleteness, "missing means none", lambda it: it["sides"][0].update(pillars=[])),
    (EvaluateCompleteness, "a gap is named for each side", lambda it: it.update(gaps=[])),
    (EvaluateCompleteness, "100 means all", lambda it: it.update(score=100)),
    (EvaluateContradictions, "named twice", lambda it: it["contradictions"][0].update(second="Calm Mornings")),
    (EvaluateContradictions, "more than once", lambda it: it["contradictions"].append(it["contradictions"][0])),
    (EvaluateContradictions, "must not be empty", lambda it: it["contradictions"][0].update(reconcile="")),
    (EvaluateContradictions, "coherent is true", lambda it: it.update(coherent=True)),
    (SuggestAdditions, "at most 1 are wanted", lambda it: it["suggestions"].append({**ADDED, "name": "Other"})),
    (SuggestAdditions, "taken by another", lambda it: it["suggestions"][0].update(name="FUN")),
    (SuggestAdditions, "says what another", lambda it: it["suggestions"][0].update(description=FUN["description"])),
    (SuggestAdditions, "names at least one side", lambda it: it["suggestions"][0].update(fills=[])),
    (EvaluateContext, "the request says nothing of title", lambda it: it.update(missing=[])),
    (EvaluateContext, "nothing is said of the game", lambda it: it["pillars"][0].update(fit="strong")),
    (EvaluateContext, "a mismatch with genre", lambda it: it["pillars"][0].update(fit="weak", mismatches=[MISFIT])),
    (EvaluateContext, "it is weak exactly", lambda it: it["pillars"][0].update(fit="weak")),
    (EvaluateContext, "and yet there is a mismatch", lambda it: it["pillars"][0].update(mismatches=[MISFIT])),
]
CHANGE = {"what": "x", "why": "y"}
ADDED = {"name": "New", "description": "A new thing.", "fills": ["theme"], "reason": "r"}
MISFIT = {"aspect": "genre", "severity": "minor", "statement": "s", "suggestion": "t"}


@pytest.mark.parametrize(("kind", "words_", "spoil"), BREAKS, ids=lambda it: getattr(it, "__name__", None))
def test_an_answer_that_contradicts_itself_or_the_request_is_told_so(kind: type, words_: str, spoil: Any) -> None:
    """Each law that a schema cannot say is broken once, and its own words come back."""
    more = {"at_most": 1} if kind is SuggestAdditions else {}
    request = asked(kind, CALM, STORMS, FUN, **more)
    data = copy.deepcopy(kind().simulate(request).model_dump(mode="json"))
    spoil(data)
    problems = kind().check(request, kind.response_schema.model_validate(data))
    assert any(words_ in problem for problem in problems), problems
