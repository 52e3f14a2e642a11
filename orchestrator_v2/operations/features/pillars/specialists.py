"""The specialists of the pillars' agentic mode, and how simulated ones take up what the others said.

What each of them finds in the data is said beside the operations.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from orchestrator_v2.agents.simulated.clean import counted, short
from orchestrator_v2.operations.features.pillars.checks import HEAVY
from orchestrator_v2.operations.handler import AgentAnswer, Finding, OperationAgent

Findings = Mapping[str, Sequence[Finding]]
MAX_FINDINGS = 100
_MAX_DISAGREEMENTS = 10
_WEIGHT = {"critical": 0, "major": 1, "minor": 2, "info": 3}

_TABLE = (
    ("clarity", "clarity editor", "You look for words that two people on the team would read in two ways."),
    (
        "distinctiveness",
        "distinctiveness critic",
        "You ask of each pillar whether another one, or any other game, could say the same.",
    ),
    (
        "experience",
        "player experience designer",
        "You think of the moment of play: what the player does, feels and pays for it.",
    ),
    ("decisions", "design lead", "You ask which feature a pillar would have you cut, and how a build could fail it."),
    ("systems", "systems designer", "You look at rules, resources and loops, and at what they do to each other."),
    (
        "people",
        "social play designer",
        "You look at who plays with, beside or against whom, and what that asks of each.",
    ),
    ("audience", "audience researcher", "You speak for the people that the game is for: their time, age and skill."),
    ("world", "narrative director", "You look for what the game is about, in its world and beneath it."),
    (
        "scope",
        "producer",
        "You count: people, months, places, features; you say what cannot be made with what there is.",
    ),
    ("technology", "platform engineer", "You know the devices: their input, sittings, power and rules of sale."),
    ("coherence", "creative director", "You hold the parts against each other and against the whole."),
)
SPECIALISTS = {name: OperationAgent(name, title, charge) for name, title, charge in _TABLE}


def chosen(*names: str) -> tuple[OperationAgent, ...]:
    return tuple(SPECIALISTS[name] for name in names)


def weightiest(findings: Iterable[Finding]) -> list[Finding]:
    """The findings by weight, as many as one answer holds."""
    return sorted(findings, key=lambda one: _WEIGHT[one.severity])[:MAX_FINDINGS]


def first_word(agent: OperationAgent, findings: Sequence[Finding]) -> AgentAnswer:
    """What the agent says by itself."""
    heavy = sum(one.severity in HEAVY for one in findings)
    words = f"{agent.title}: {counted(len(findings), 'finding')}, {heavy} of them major or critical."
    return AgentAnswer(summary=words, findings=weightiest(findings))


def second_word(
    agent: OperationAgent, findings: Sequence[Finding], others: Mapping[str, AgentAnswer], order: Sequence[str]
) -> AgentAnswer:
    """What the agent says having read the others.

    A finding that one before it in `order` has too is left to that one. Where another finds heavy what the agent
    itself found only minor trouble with, it says so.
    """
    before = [others[name] for name in order[: order.index(agent.name)] if name in others]
    taken = {(one.about, one.statement) for answer in before for one in answer.findings}
    kept = [one for one in findings if (one.about, one.statement) not in taken]
    light = {one.about for one in findings} - {one.about for one in findings if one.severity in HEAVY}
    differs = [
        f"{short(one.about)}: {one.severity} to the {SPECIALISTS[name].title}, and only minor from my side."
        for name in order
        if name in others and name != agent.name
        for one in others[name].findings
        if one.severity in HEAVY and one.about in light
    ]
    words = (
        f"{agent.title}: keeps {len(kept)} of {counted(len(findings), 'finding')}, having read {len(others)} others."
    )
    return AgentAnswer(
        summary=words, findings=weightiest(kept), disagreements=list(dict.fromkeys(differs))[:_MAX_DISAGREEMENTS]
    )


def told_by(agents: Sequence[OperationAgent], answers: Mapping[str, AgentAnswer]) -> str:
    """A sentence on who the simulated summing up stands on."""
    silent = [agent.title for agent in agents if agent.name not in answers]
    differ = sum(len(answer.disagreements) for answer in answers.values())
    words = f"{len(answers)} of {counted(len(agents), 'specialist')} answered, {counted(differ, 'disagreement')}."
    return f"{words} Read from the data alone, in place of: {', '.join(silent)}." if silent else words
