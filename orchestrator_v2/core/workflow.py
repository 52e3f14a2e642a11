"""The words of a workflow: phases, what they need, how they are judged.

Reading one from YAML and refusing a wrong one is `engine/phase_graph.py`.
"""

from __future__ import annotations

import msgspec


class Gate(msgspec.Struct, frozen=True, omit_defaults=True):
    """What lets a phase be called done.

    `evidence` lists checks that the engine measures (see `workspace/evidence.py`). `review` is "" for none,
    `agent` where the phase's own verdict decides, `human` where the run waits for a person.
    """

    evidence: tuple[str, ...] = ()
    review: str = ""


class Phase(msgspec.Struct, frozen=True, omit_defaults=True):
    """A node of the graph.

    `agent` is a role, an alias of one, or `engine`. `inputs` are glob patterns over upstream artifacts (empty:
    all of them). `outputs` are glob patterns the phase may write. `when` maps a fact of the run (`mode`) to the
    value it must have. `on_fail` names the phase that a failed gate or a rejection reopens (empty: this one).
    `batch`: nobody waits for it, so its model calls go by the provider's cheaper batch lane. `skip_on` are the codes
    of errors on which an optional phase is left out, where the run would else stand still and wait.
    """

    id: str
    agent: str
    needs: tuple[str, ...] = ()
    title: str = ""
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    gate: Gate = Gate()
    when: dict[str, str] = {}
    optional: bool = False
    max_rounds: int = 3
    batch: bool = False
    on_fail: str = ""
    skip_on: tuple[str, ...] = ()


class ModelChoice(msgspec.Struct, frozen=True, omit_defaults=True):
    """The model that an agent works with. `base_url` is empty for the provider's own server.

    `key` is the name of the variable that holds the key, empty for the provider's usual one; never a key itself.
    `reasoning` is the effort that the model is asked for, `search` the engine whose results are put before it (each
    empty: none). `fallbacks` are asked in order where this one cannot answer.
    """

    provider: str
    model: str
    base_url: str = ""
    key: str = ""
    reasoning: str = ""
    search: str = ""
    fallbacks: tuple[ModelChoice, ...] = ()


class BudgetRules(msgspec.Struct, frozen=True, omit_defaults=True):
    """What happens before a budget is used up; the budget itself is the ceiling, past which nothing is sent.

    From `alert` nano-dollars spent on somebody is told, from `downgrade` on calls go to `cheaper` (None: never).
    """

    alert: int | None = None
    downgrade: int | None = None
    cheaper: ModelChoice | None = None


class Workflow(msgspec.Struct, frozen=True, omit_defaults=True):
    name: str
    phases: tuple[Phase, ...]
    description: str = ""
