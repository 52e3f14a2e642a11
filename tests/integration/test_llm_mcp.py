"""Tools of real MCP servers in child processes, over stdio and over HTTP on this machine."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from orchestrator_v2.core.errors import ConfigError
from orchestrator_v2.core.secrets import Secret
from orchestrator_v2.llm.mcp_tools import McpServer, mcp_tools
from orchestrator_v2.llm.tool_loop import run_with_tools
from orchestrator_v2.llm.tools import ToolRegistry
from orchestrator_v2.llm.types import Completion, LLMConfig, ToolCall, ToolResult
from orchestrator_v2.testing.memory_ledger import MemoryCallLedger
from orchestrator_v2.testing.scripted_llm import scripted_factory

SCRIPT = str(Path(__file__).parent / "mcp_server.py")
CHILD = McpServer("bench", command=(sys.executable, SCRIPT), timeout=20)


@pytest.fixture(scope="module")
def http_url() -> Iterator[str]:
    """The address of a server that runs for this file's tests."""
    with subprocess.Popen([sys.executable, SCRIPT, "http"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}/mcp"
        process.terminate()


@pytest.fixture(params=["stdio", "http"])
def server(request: pytest.FixtureRequest) -> McpServer:
    if request.param == "stdio":
        return CHILD
    return McpServer("bench", url=request.getfixturevalue("http_url"), timeout=20)


def called(server: McpServer, *wishes: tuple[str, dict]) -> list[ToolResult]:
    """The results of these calls, one after the other, on one connection."""

    async def go():
        async with mcp_tools([server], ToolRegistry()) as tools:
            return [await tools.run(ToolCall("1", name, arguments)) for name, arguments in wishes]

    return asyncio.run(go())


def test_tools_are_listed_under_the_servers_name_with_their_schemas(server):
    """Names carry the server's, in letters that providers take; descriptions and schemas are the server's own."""

    async def go():
        registry = ToolRegistry()
        async with mcp_tools([server], registry):
            return {spec.name: spec for spec in registry.specs}

    specs = asyncio.run(go())
    assert {"bench__add", "bench__shapes_draw", "bench__fail"} <= set(specs)
    assert specs["bench__add"].description == "Adds two numbers."
    assert specs["bench__add"].parameters["required"] == ["a"]
    assert specs["bench__add"].parameters["properties"]["b"]["default"] == 1


def test_calls_give_text_and_failures_are_marked(server):
    """Text comes as it is, a picture and a link in words; what the server refuses or fails at is an error result."""
    good, drawn, linked, failed, wrong = called(
        server,
        ("bench__add", {"a": 2, "b": 3}),
        ("bench__shapes_draw", {}),
        ("bench__link", {}),
        ("bench__fail", {"why": "out of ink"}),
        ("bench__add", {"a": "two"}),
    )
    assert good == ToolResult("1", "5")
    assert drawn.content == "Here:\n[image, not shown: image/png]"
    assert linked.content == "[resource link, not shown: https://example.com/it]"
    assert failed.is_error
    assert "out of ink" in failed.content
    assert wrong.is_error


def test_the_environment_of_a_child_is_what_was_given(monkeypatch):
    """Of our own environment nothing is there, keys least of all: not even what the package gives to each child."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", "planted")
    (nothing,) = called(CHILD, ("bench__environment", {}))
    assert json.loads(nothing.content).keys() <= {"LC_CTYPE"}
    given = McpServer("bench", CHILD.command, env={"HOME": "/nowhere", "TOKEN": "of-the-server"}, timeout=20)
    (result,) = called(given, ("bench__environment", {}))
    found = json.loads(result.content)
    assert (found["HOME"], found["TOKEN"]) == ("/nowhere", "of-the-server")
    assert found.keys() <= {"HOME", "TOKEN", "LC_CTYPE"}


def test_a_call_that_hangs_and_a_server_that_dies_are_error_results():
    """A time-out leaves the connection usable; a server that is gone is said to be, and closing still works."""
    impatient = McpServer("bench", CHILD.command, timeout=2)
    hung, alive, gone, after = called(
        impatient, ("bench__hang", {}), ("bench__add", {"a": 1}), ("bench__leave", {}), ("bench__add", {"a": 1})
    )
    assert (hung.is_error, gone.is_error, after.is_error) == (True, True, True)
    assert alive.content == "2"


def test_no_child_is_left_behind():
    """Leaving the block ends the server's process, also when the block ends in an error."""
    there = []

    async def go():
        async with mcp_tools([CHILD], ToolRegistry()) as tools:
            there.append(int((await tools.run(ToolCall("1", "bench__process", {}))).content))
            os.kill(there[0], 0)
            raise RuntimeError("the block ends in an error")

    with pytest.raises((RuntimeError, ExceptionGroup)):
        asyncio.run(go())
    with pytest.raises(ProcessLookupError):
        os.kill(there[0], 0)


@pytest.mark.parametrize(
    ("server", "why"),
    [
        (McpServer("x", command=("no-such-program",)), "no program"),
        (McpServer("x", command=("false",), start_timeout=10), "cannot be used"),
        (McpServer("x", command=("sleep", "60"), start_timeout=0.5), "within 0.5 s"),
        (McpServer("x", url="http://127.0.0.1:9/mcp", start_timeout=10), "cannot be used"),
        (McpServer("x", url="http://example.com/mcp"), "in the open"),
        (McpServer("x"), "both or none"),
    ],
    ids=["missing", "ends", "silent", "nobody", "plain", "empty"],
)
def test_a_server_that_cannot_be_used_is_a_clear_error(server, why):
    """Whatever is wrong with it, it is one error that names the server or its address."""
    with pytest.raises(ConfigError, match=why):
        called(server)


def test_a_header_goes_to_the_server_and_into_no_error():
    """The key of an HTTP server is sent with the request; a server that echoes it is redacted."""
    seen = []

    class Echo(BaseHTTPRequestHandler):
        def do_POST(self):
            seen.append(self.headers["Authorization"])
            self.send_error(500, f"you sent {self.headers['Authorization']}")

        def log_message(self, *words):
            pass

    web = HTTPServer(("127.0.0.1", 0), Echo)
    threading.Thread(target=web.serve_forever, daemon=True).start()
    key = Secret("Bearer planted-canary-value")
    server = McpServer(
        "x", url=f"http://127.0.0.1:{web.server_port}/mcp", headers={"Authorization": key}, start_timeout=10
    )
    with pytest.raises(ConfigError) as caught:
        called(server)
    web.shutdown()
    web.server_close()
    assert seen[0] == key.reveal()
    assert "canary" not in str(caught.value)


def test_a_model_uses_a_servers_tool(server):
    """A conversation through the loop: the wish goes to the server, its result to the model and into the ledger."""
    wish = Completion("", "tool_use", tool_calls=(ToolCall("toolu_1", "bench__add", {"a": 20, "b": 22}),))
    factory, scripted = scripted_factory([wish, "42."], name="anthropic")
    ledger = MemoryCallLedger()
    client = factory.create_client(LLMConfig("anthropic", "claude", Secret("sk-ant-planted-key-0000")), ledger=ledger)

    async def go():
        async with mcp_tools([server], ToolRegistry()) as tools:
            return await run_with_tools(client, "Add them.", tools, key="a")

    assert asyncio.run(go()).text == "42."
    assert scripted.calls[1].messages[-1].tool_results == (ToolResult("toolu_1", "42"),)
    assert [(row.provider, row.model) for row in ledger.rows][1] == ("tool", "bench__add")
