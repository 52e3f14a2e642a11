"""LangGraph as a subject: a compiled state graph, its asynchronous SQLite checkpointer, `durability="sync"`.

It runs in an environment of its own (`.benchmarks-env`), where only the standard-library files here are beside it.
A run's results are one dictionary in the state, each task adding its own; so both sides can tell them all.
"""

from __future__ import annotations

import asyncio
import operator
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, TypedDict

from child import obey
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import START, StateGraph
from raw import Cost, Stopwatch
from subject import Shape, Step


class State(TypedDict):
    results: Annotated[dict[str, str], operator.or_]


class LangGraph:
    imports = "import langgraph.graph, langgraph.checkpoint.sqlite.aio"

    async def walk(self, folder: Path, shapes: Sequence[Shape], step: Step) -> Cost:
        async with _saver(folder) as saver:
            await saver.setup()
            graphs = [_compiled(shape, step, saver) for shape in shapes]
            watch = Stopwatch()
            states = await asyncio.gather(
                *(_invoke(graph, {"results": {}}, number, shapes[number]) for number, graph in enumerate(graphs))
            )
            cost = watch.read()
        _all_there(shapes, states)
        return cost

    async def finished(self, folder: Path, shape: Shape) -> list[str]:
        async with _saver(folder) as saver:
            found = await saver.aget_tuple(_config(0, shape))
        if found is None:
            return []
        done = dict(found.checkpoint["channel_values"].get("results", {}))
        for _, channel, value in found.pending_writes or ():
            if channel == "results":
                done |= value
        return list(done)

    async def resume(self, folder: Path, shape: Shape, step: Step) -> Cost:
        watch = Stopwatch()
        async with _saver(folder) as saver:
            state = await _invoke(_compiled(shape, step, saver), None, 0, shape)
            cost = watch.read()
        _all_there([shape], [state])
        return cost


def _saver(folder: Path) -> Any:
    return AsyncSqliteSaver.from_conn_string(str(folder / "langgraph.db"))


def _compiled(shape: Shape, step: Step, saver: AsyncSqliteSaver) -> Any:
    graph = StateGraph(State)
    for task in shape:
        graph.add_node(task.name, _node(task.name, step))
        for need in task.needs or (START,):
            graph.add_edge(need, task.name)
    return graph.compile(checkpointer=saver)


def _node(name: str, step: Step) -> Any:
    async def node(state: State) -> State:
        return {"results": {name: await step(name)}}

    return node


async def _invoke(graph: Any, state: State | None, number: int, shape: Shape) -> Any:
    return await graph.ainvoke(state, _config(number, shape), durability="sync")


def _config(number: int, shape: Shape) -> Any:
    return {"configurable": {"thread_id": str(number)}, "recursion_limit": len(shape) + 10}


def _all_there(shapes: Sequence[Shape], states: Sequence[Any]) -> None:
    for shape, state in zip(shapes, states, strict=True):
        if len(state["results"]) != len(shape):
            raise AssertionError(f"{len(state['results'])} results of {len(shape)}")


if __name__ == "__main__":
    obey(LangGraph, sys.argv[1:])
