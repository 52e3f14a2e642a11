"""A project as it was wished for: kept as JSON in the project's row, turned into the request of each of its runs.

What a request comes to (mode, model, prices) is `settling.py`.
"""

from __future__ import annotations

import msgspec

from orchestrator_v2.core.accounts import Credential, ProjectRow, User
from orchestrator_v2.core.errors import StoreCorruptError
from orchestrator_v2.engine.phase_graph import PhaseGraph
from orchestrator_v2.engine.ports import RunRow
from orchestrator_v2.parts import RunRequest


class Wish(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a user wants built. `workflow` is a built-in's name or the text of a YAML file; `budget` in nano-dollars.

    `mode` is auto (real where the user has a key), simulated or real. `first_run` is the id of the run that was asked
    for together with the project, empty where none was; a request that is sent again starts no second one.
    """

    name: str
    brief: str = ""
    workflow: str = "default"
    mode: str = "auto"
    provider: str = ""
    model: str = ""
    budget: int | None = None
    review: str = "agent"
    answers: dict[str, str] = {}
    assignments: dict[str, str] = {}
    parallelism: int = 0
    batch: bool = False
    first_run: str = ""


class ProjectView(msgspec.Struct, frozen=True):
    """A project with its latest run."""

    row: ProjectRow
    wish: Wish
    run: RunRow | None = None


# What a list shows of a brief: a page of a thousand-page brief each would be gigabytes.
_SHOWN = 300


def shortened(wish: Wish) -> Wish:
    """As lists show it: the beginning of the brief, and of a workflow of one's own no more than that it is one."""
    own = "\n" in wish.workflow or len(wish.workflow) > _SHOWN
    return msgspec.structs.replace(
        wish, brief=wish.brief[:_SHOWN], workflow="own" if own else wish.workflow, answers={}
    )


def encode(wish: Wish) -> bytes:
    return msgspec.json.encode(wish)


def wish_of(row: ProjectRow) -> Wish:
    try:
        return msgspec.json.decode(row.request, type=Wish)
    except msgspec.MsgspecError as error:
        raise StoreCorruptError(
            f"Project {row.project_id} cannot be read.",
            f"Its wish is none of this release: {error}.",
            "Use the release that wrote it.",
        ) from error


def request_of(
    wish: Wish,
    graph: PhaseGraph,
    user: User,
    keyring: tuple[Credential, ...],
    *,
    project_id: str = "",
    run_id: str = "",
    tasks: int | None = None,
) -> RunRequest:
    """The request of one run. The user's own keys and entitlements are in it, and nobody else's."""
    return RunRequest(
        brief=wish.brief or wish.name,
        name=wish.name,
        workflow=graph,
        mode=wish.mode,
        provider=wish.provider,
        model=wish.model,
        budget=wish.budget,
        review=wish.review,
        answers=wish.answers,
        parallelism=wish.parallelism,
        batch=wish.batch,
        assignments=wish.assignments,
        tasks=tasks,
        run_id=run_id,
        owner_id=user.user_id,
        project_id=project_id,
        keyring=keyring,
        entitled=user.models,
    )
