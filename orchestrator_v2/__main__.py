"""The entry point `orchestrator`, also as `python -m orchestrator_v2`. What it understands is `cli/main.py`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any


def main() -> None:
    """Runs the command line and ends the process with its exit code."""
    # A plugin of pydantic sees every value that is validated, keys too, and looking for one slows each start.
    os.environ["PYDANTIC_DISABLE_PLUGINS"] = "__all__"
    from orchestrator_v2.cli.main import run_cli

    sys.exit(run_cli(sys.argv[1:], _serve))


async def _serve(service: Any, ready: Callable[[str], None]) -> None:
    """The command line and the server do not know each other; here they meet, once a server is asked for."""
    from orchestrator_v2.api.server import serve

    await serve(service, ready)


if __name__ == "__main__":
    main()
