"""The options of `orchestrator run`, as data. What is done with them is `run_commands.py`."""

from __future__ import annotations

from typing import Annotated

import typer

Words = Annotated[list[str] | None, typer.Argument(metavar="[BRIEF]", help="What is to be built.", show_default=False)]
Brief = Annotated[str | None, typer.Option(metavar="FILE", help="Read the brief from a file, or - for standard input.")]
Out = Annotated[str | None, typer.Option(metavar="DIR", help="Where the project is laid out.")]
Name = Annotated[str, typer.Option(metavar="TEXT", help="The project's name; else from the brief.", show_default=False)]
Mode = Annotated[
    str,
    typer.Option(
        metavar="MODE", help="simulated (no model, free), real, or auto: real with a key.", show_default="simulated"
    ),
]
RealLlm = Annotated[bool, typer.Option("--real-llm", help="The same as --mode real.")]
WorkflowName = Annotated[str, typer.Option(metavar="NAME|FILE", help="A built-in workflow or a YAML file.")]
Provider = Annotated[str, typer.Option(metavar="NAME", help="The provider of real mode.", show_default=False)]
Model = Annotated[str, typer.Option(metavar="NAME", help="The model of real mode.", show_default=False)]
Budget = Annotated[
    str | None, typer.Option(metavar="USD", help="The ceiling of the run's cost in US dollars.", show_default=False)
]
Parallelism = Annotated[int | None, typer.Option(metavar="N", help="How many phases go on at once.")]
HumanReview = Annotated[bool, typer.Option("--human-review", help="Reviews wait for a person.")]
Batch = Annotated[
    bool, typer.Option("--batch", help="All model calls by the provider's batch lane: half the price, within a day.")
]
Wait = Annotated[bool, typer.Option("--wait", help="Stay, and go on each time the provider lets the run.")]
Interactive = Annotated[bool, typer.Option("--interactive", help="Answer the intake's questions first.")]
