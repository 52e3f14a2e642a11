"""The least that a FastAPI server can do, as the limit beside ours: one route that answers one list of values.

`server.py` starts it; it prints its address.
"""

from __future__ import annotations

import socket

import uvicorn
from fastapi import FastAPI

ANSWER = [{"name": f"agent {number}", "title": "x" * 40, "charge": "y" * 120} for number in range(8)]


def main() -> None:
    app = FastAPI()

    @app.get("/agents")
    async def agents() -> list[dict[str, str]]:
        return ANSWER

    listening = socket.create_server(("127.0.0.1", 0))
    print(f"http://127.0.0.1:{listening.getsockname()[1]}", flush=True)
    uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, http="h11")).run(sockets=[listening])


if __name__ == "__main__":
    main()
