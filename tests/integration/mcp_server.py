"""A real MCP server for tests: `python mcp_server.py` speaks stdio, `… http` HTTP on a port of its choice."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

import mcp_types as types
from mcp.server.mcpserver import Image, MCPServer
from mcp.server.mcpserver.exceptions import ToolError

server = MCPServer("bench", log_level="CRITICAL")


@server.tool()
def add(a: int, b: int = 1) -> int:
    """Adds two numbers."""
    return a + b


@server.tool()
def environment() -> str:
    """The whole environment of this process, as JSON."""
    raw = Path("/proc/self/environ").read_bytes().decode()
    return json.dumps(dict(pair.split("=", 1) for pair in raw.split("\0") if pair))


@server.tool()
def process() -> int:
    """The id of this process."""
    return os.getpid()


@server.tool()
def fail(why: str) -> str:
    """Fails."""
    raise ToolError(why)


@server.tool(name="shapes.draw")
def draw() -> list[str | Image]:
    """A picture and a word."""
    return ["Here:", Image(data=b"not really a png", format="png")]


@server.tool()
async def hang() -> str:
    """Never answers."""
    await asyncio.Event().wait()
    return ""


@server.tool()
def leave() -> str:
    """Ends the server."""
    os._exit(3)


@server.tool()
def link() -> list[types.ResourceLink]:
    """A link."""
    return [types.ResourceLink(type="resource_link", name="it", uri="https://example.com/it")]


def main() -> None:
    if sys.argv[1:] != ["http"]:
        server.run("stdio")
        return
    import uvicorn

    config = uvicorn.Config(server.streamable_http_app(), host="127.0.0.1", port=0, log_level="critical")
    listening = config.bind_socket()
    # Whoever reads the port may connect at once.
    listening.listen()
    sys.stdout.write(f"{listening.getsockname()[1]}\n")
    sys.stdout.flush()
    asyncio.run(uvicorn.Server(config).serve(sockets=[listening]))


if __name__ == "__main__":
    main()
