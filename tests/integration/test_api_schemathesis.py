"""The API against its own description: generated requests, good and bad, of two users, by every check of schemathesis.

Where a check expects something else than its standard, and why, is `schemathesis.toml`. SCHEMATHESIS_EXAMPLES is how
many requests are made up for each operation, beside those that cover each rule of its schema; without it a few are.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from reliability_report import Tell
from server_process import ROOT, Client, Server

MORE = os.environ.get("SCHEMATHESIS_EXAMPLES", "")
# Rule by rule is more than a thousand requests: for the larger run.
SIZE = ["--max-examples", MORE] if MORE else ["--max-examples", "2", "--phases", "examples,fuzzing,stateful"]


# What its summary says.
_COUNTED = {
    "operations": r"Tested: (\d+)",
    "cases": r"([\d,]+) generated",
    "failures": r"([\d,]+) (?:unique )?failure",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """With room for one run of a user, so that what is made up does not keep it busy."""
    few = {"ORCHESTRATOR_RUNS_PER_USER": "1", "ORCHESTRATOR_RUNS_AT_ONCE": "1"}
    with Server(tmp_path_factory.mktemp("server"), **few) as running:
        yield running


def checked(server: Server, user: Client, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(ROOT / "schemathesis.toml")]
    command += ["run", "--checks", "all", "--seed", "1", "--warnings", "off", "--no-color", *SIZE]
    command += ["--header", f"Authorization: Bearer {user.token}", f"{server.url}/openapi.json"]
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8"}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=None if MORE else 110, check=False
    )


@pytest.mark.timeout(0 if MORE else 120)
@pytest.mark.parametrize("role", ["admin", pytest.param("developer", marks=pytest.mark.chaos)])
def test_no_check_fails(server: Server, tmp_path: Path, role: str, tell: Tell) -> None:
    """Whatever is sent: the answers are those that are described, none is a fault, and nothing of another's changes."""
    bystander = server.user(f"beside the {role}")
    kept = bystander.project("Not to be touched", run=False)
    run = checked(server, server.user(f"the {role}", role), tmp_path)
    told = {name: re.search(pattern, run.stdout) for name, pattern in _COUNTED.items()}
    tell(
        "promises",
        "every check of schemathesis beside another user",
        where=f"the server's process, as {role}",
        **{name: int(found[1].replace(",", "")) if found else 0 for name, found in told.items()},
        exit_code=run.returncode,
        projects_of_the_other_user_changed=int(bystander.get("/projects")["items"] != [kept]),
    )
    assert run.returncode == 0, run.stdout[-6_000:] + run.stderr
    asked = re.search(r"Tested: (\d+)", run.stdout)
    assert asked is not None and int(asked[1]) >= 45, run.stdout[-6_000:]
    assert bystander.get("/projects")["items"] == [kept]
    assert not [line for line in server.log() if line["level"] in ("error", "critical")]
