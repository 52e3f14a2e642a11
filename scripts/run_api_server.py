"""Serves the page and the API; the same as `orchestrator serve`, with its options.

python scripts/run_api_server.py [--host HOST] [--port PORT]
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def main() -> None:
    """Runs the command line's `serve`, also from a checkout that is not installed."""
    sys.path.insert(0, str(ROOT))
    from orchestrator_v2.__main__ import main as command_line  # noqa: PLC0415 - found by the line above

    sys.argv = ["orchestrator", "serve", *sys.argv[1:]]
    command_line()


if __name__ == "__main__":
    main()
