"""Tools of MCP servers in the same registry as Python functions: started or reached, listed, and closed again.

The protocol itself is the `mcp` package, imported when the first server is opened; how a tool is run is `tools.py`.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import re
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from orchestrator_v2.core.errors import ConfigError, InvalidOutputError, MissingExtraError
from orchestrator_v2.core.probe import no_probe
from orchestrator_v2.core.secrets import Secret, redact
from orchestrator_v2.llm.origin import check_base_url
from orchestrator_v2.llm.provider import Timeouts
from orchestrator_v2.llm.structured import clean_text, parse_json
from orchestrator_v2.llm.tools import Tool, ToolFailure, ToolRegistry
from orchestrator_v2.llm.types import ToolSpec

INSTALL = "pip install 'orchestrator-v2[mcp]'"
MAX_TOOLS = 128
_DESCRIPTION_CAP = 4_000
_NAME_CAP = 64
_NOT_IN_NAMES = re.compile(r"[^a-zA-Z0-9_-]")


class McpServer(msgspec.Struct, frozen=True):
    """A server, by the command that starts it or by its `url` (https, or http on this machine); one of both.

    `env` is the whole environment of the child process, `headers` go with each HTTP request. `start_timeout` is in
    seconds until its tools are listed, `timeout` for each call. `repeatable` names the tools that do no harm when
    called twice.
    """

    name: str
    command: tuple[str, ...] = ()
    env: Mapping[str, str] = {}
    cwd: str = ""
    url: str = ""
    headers: Mapping[str, Secret] = {}
    timeout: float = 60.0
    start_timeout: float = 60.0
    repeatable: frozenset[str] = frozenset()


@asynccontextmanager
async def mcp_tools(servers: Sequence[McpServer], registry: ToolRegistry) -> AsyncIterator[ToolRegistry]:
    """Adds the tools of all servers to `registry`, each as SERVER__TOOL; the servers are closed at the end.

    Enter and leave it in the same task. Raises `ConfigError` for a server that cannot be opened and
    `MissingExtraError` without the `mcp` package.
    """
    if importlib.util.find_spec("mcp") is None:
        raise MissingExtraError("The package for MCP servers is not installed.", "", f"Run: {INSTALL}")
    async with AsyncExitStack() as stack:
        for server in servers:
            transport = await _transport(server, stack)
            client, tools = await _opened(server, transport, stack)
            for tool in tools:
                registry.add_tool(_tool(server, client, tool, registry))
        yield registry


async def _transport(server: McpServer, stack: AsyncExitStack) -> Any:
    if bool(server.command) == bool(server.url):
        raise ConfigError(f"The MCP server '{server.name}' needs a command or a url.", "It has both or none.")
    return _child(server, stack) if server.command else await _over_http(server, stack)


def _child(server: McpServer, stack: AsyncExitStack) -> Any:
    from mcp.client.stdio import DEFAULT_INHERITED_ENV_VARS, StdioServerParameters, stdio_client

    program, env = shutil.which(server.command[0]), shutil.which("env")
    if program is None or env is None:
        raise _not_opened(server, f"There is no program '{server.command[0] if env else 'env'}'.")
    # The package gives these of our own environment to every child; `env -u` takes them away again.
    unset = [part for name in DEFAULT_INHERITED_ENV_VARS if name not in server.env for part in ("-u", name)]
    parameters = StdioServerParameters(
        command=env, args=[*unset, program, *server.command[1:]], env=dict(server.env), cwd=server.cwd or None
    )
    return stdio_client(parameters, errlog=stack.enter_context(Path(os.devnull).open("w")))


async def _over_http(server: McpServer, stack: AsyncExitStack) -> Any:
    from mcp.client.streamable_http import streamable_http_client

    from orchestrator_v2.llm.transport import create_http_client

    url = check_base_url(server.url)
    # One stream stays open in silence for as long as the server is used.
    http = create_http_client(url, Timeouts(idle=max(300.0, server.timeout)), no_probe)
    http.headers.update({name: value.reveal() for name, value in server.headers.items()})
    await stack.enter_async_context(http)
    return streamable_http_client(url, http_client=http)


async def _opened(server: McpServer, transport: Any, stack: AsyncExitStack) -> tuple[Any, list[Any]]:
    """The client, connected, and all that it lists."""
    from mcp import Client

    try:
        # Not anyio's: its scopes must be left in the order of the client's own, which stay open.
        async with asyncio.timeout(server.start_timeout):
            client = await stack.enter_async_context(Client(transport))
            return client, await _listed(server, client)
    except ConfigError:
        raise
    except TimeoutError:
        raise _not_opened(server, f"It did not list its tools within {server.start_timeout:g} s.") from None
    except Exception as error:  # noqa: BLE001 - groups of errors of four libraries: each means that no server is there
        raise _not_opened(server, _innermost_words(error, tuple(server.headers.values()))) from None


async def _listed(server: McpServer, client: Any) -> list[Any]:
    tools: list[Any] = []
    cursor: str | None = None
    while True:
        page = await client.list_tools(cursor=cursor)
        tools += page.tools
        cursor = page.next_cursor
        if len(tools) > MAX_TOOLS or (cursor and not page.tools):
            raise _not_opened(server, f"It lists more than {MAX_TOOLS} tools.")
        if not cursor:
            return tools


def _tool(server: McpServer, client: Any, listed: Any, registry: ToolRegistry) -> Tool:
    spec = ToolSpec(
        _free_name(f"{server.name}__{listed.name}", registry),
        clean_text(listed.description or listed.title or listed.name)[:_DESCRIPTION_CAP],
        _schema(server, listed),
    )
    call = _caller(client, listed.name, tuple(server.headers.values()))
    return Tool(spec, call, server.timeout, listed.name in server.repeatable)


def _schema(server: McpServer, listed: Any) -> dict[str, Any]:
    """The schema as the server gave it, once it has passed the gate for hostile JSON."""
    try:
        schema = parse_json(msgspec.json.encode(listed.input_schema))
    except (InvalidOutputError, RecursionError, ValueError) as error:
        raise _not_opened(server, f"The schema of '{listed.name[:100]}' is not usable: {error}") from None
    return schema if schema.get("type") == "object" else {**schema, "type": "object"}


def _free_name(wanted: str, registry: ToolRegistry) -> str:
    """The name in the letters that providers take, made different where the cut made two of them equal."""
    base = _NOT_IN_NAMES.sub("_", wanted)[:_NAME_CAP]
    name, number = base, 2
    while registry.get(name) is not None:
        name, number = f"{base[: _NAME_CAP - 4]}_{number}", number + 1
    return name


def _caller(client: Any, name: str, secrets: tuple[Secret, ...]) -> Callable[[Mapping[str, Any]], Awaitable[str]]:
    async def call(arguments: Mapping[str, Any]) -> str:
        try:
            result = await client.call_tool(name, dict(arguments))
        except Exception as error:  # noqa: BLE001 - of four libraries too; the model is told
            raise ToolFailure(f"The server could not answer: {_innermost_words(error, secrets)}") from None
        text = "\n".join(_block_text(block) for block in result.content)
        if not text and result.structured_content is not None:
            text = msgspec.json.encode(result.structured_content).decode()
        if result.is_error:
            raise ToolFailure(text or "The tool failed and did not say why.")
        return text

    return call


def _block_text(block: Any) -> str:
    """The text of a block; of other blocks what they are, in words."""
    kind = str(block.type)
    if kind == "text":
        return str(block.text)
    resource = getattr(block, "resource", None)
    if resource is not None and getattr(resource, "text", None) is not None:
        return str(resource.text)
    named = getattr(block, "uri", "") or getattr(resource, "uri", "") or getattr(block, "mime_type", "")
    return f"[{kind.replace('_', ' ')}, not shown: {named}]"


def _innermost_words(error: BaseException, secrets: tuple[Secret, ...]) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return redact(f"{type(error).__name__}: {error}", secrets)[:500]


def _not_opened(server: McpServer, why: str) -> ConfigError:
    return ConfigError(
        f"The MCP server '{server.name}' cannot be used.",
        f"{why.rstrip('.')}.",
        "Check its command or url, and that it runs by itself.",
    )
