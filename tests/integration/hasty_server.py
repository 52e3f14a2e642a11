"""`orchestrator` whose server waits a second for a head and as long for a body; the safety tests run it as a program.

How long it waits otherwise is `api/server.py` and `api/guard.py`.
"""

from __future__ import annotations

import sys
from functools import partial

from orchestrator_v2.api.server import serve
from orchestrator_v2.cli.main import run_cli

if __name__ == "__main__":
    sys.exit(run_cli(sys.argv[1:], partial(serve, head_seconds=1.0, body_seconds=1.0)))
