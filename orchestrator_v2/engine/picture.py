"""A phase graph as a Mermaid flowchart, for READMEs and pages.

The live view on a terminal is `cli/live_view.py`.
"""

from __future__ import annotations

from orchestrator_v2.engine.phase_graph import PhaseGraph


def mermaid(graph: PhaseGraph) -> str:
    """The flowchart: solid arrows are needs, dotted ones lead back to what a failed gate reopens."""
    lines = ["flowchart LR"]
    for name in graph.order:
        phase = graph.phases[name]
        left, right = ("{{", "}}") if phase.gate.review else ("[", "]")
        lines.append(f'    {name}{left}"{name}<br><i>{phase.agent}</i>"{right}')
    lines += [f"    {need} --> {name}" for name in graph.order for need in graph.phases[name].needs]
    lines += [
        f"    {name} -. not good enough .-> {graph.phases[name].on_fail}"
        for name in graph.order
        if graph.phases[name].on_fail
    ]
    return "\n".join(lines)
