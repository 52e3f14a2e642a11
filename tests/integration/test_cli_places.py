"""Places that cannot hold a project, and a machine without what is needed: told before the work, or mended after it."""

from __future__ import annotations

import asyncio
import errno
import subprocess
from pathlib import Path

import pytest
from cli_process import Cli, one_paragraph

from orchestrator_v2 import RunRequest, open_orchestrator
from orchestrator_v2.cli.summary import next_steps, project
from orchestrator_v2.config.loader import LoadedSettings, load_settings
from orchestrator_v2.core.errors import WorkspaceError


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Cli(tmp_path)


def test_without_git_nothing_is_started(cli: Cli) -> None:
    """A project folder needs git: that it is missing is said before the first phase, not after the last."""
    (cli.folder / "bin").mkdir()
    environment = {"PATH": str(cli.folder / "bin")}
    done = cli("run", "A todo", "--workflow", cli.short_workflow(), "--out", "project", **environment)
    assert (done.returncode, done.stdout, one_paragraph(done.stderr)) == (1, "", True), done
    assert "Install git" in done.stderr
    assert cli.json("list") == []
    assert cli("run", "A todo", "--workflow", cli.short_workflow(), **environment).returncode == 0


def test_a_project_does_not_go_into_a_repositorys_own_folder(cli: Cli) -> None:
    """`--out g/.git/x` would spoil the repository around it, by whatever link it is reached."""
    subprocess.run(["git", "init", "-q", str(cli.folder / "g")], check=True)
    (cli.folder / "link").symlink_to(cli.folder / "g" / ".git")
    for out in ("g/.git/x", "g/.git", "link/x"):
        done = cli("run", "A todo", "--workflow", cli.short_workflow(), "--out", out)
        assert (done.returncode, one_paragraph(done.stderr)) == (3, True), done
        assert ".git folder" in done.stderr
    assert cli.json("list") == []


class FullOnce:
    """A probe that stands for a disk without room, when the first file of a project is written."""

    def __init__(self) -> None:
        self.full = True

    def __call__(self, name: str) -> None:
        if name == "artifact-temp-written" and self.full:
            self.full = False
            raise OSError(errno.ENOSPC, "No space left on device")


def _settings(home: Path) -> LoadedSettings:
    return load_settings({"data_dir": home / "data"}, {}, home, home)


def test_a_full_disk_is_no_bad_input_and_resume_lays_the_project_out(cli: Cli) -> None:
    """The work is kept, the error says to make room, the next step is `resume`, and then the project is whole."""
    out = cli.folder / "project"

    async def main() -> None:
        request = RunRequest("A todo", workflow=cli.short_workflow(), out=out)
        async with await open_orchestrator(_settings(cli.folder), probe=FullOnce()) as orchestrator:
            with pytest.raises(WorkspaceError, match="no room") as caught:
                await orchestrator.run(request)
            (row,) = await orchestrator.rows()
            assert caught.value.exit_code == 1
            assert f"`orchestrator resume {row.run_id}`" in caught.value.do
            standing = await orchestrator.standing(row.run_id)
            assert next_steps(standing)[0] == f"orchestrator resume {row.run_id}"
            assert "not all of it" in project(standing)
            await orchestrator.resume(row.run_id)
            whole = await orchestrator.standing(row.run_id)
            assert whole.laid
            assert next_steps(whole)[0].startswith("cd ")

    asyncio.run(main())
    assert (out / "docs" / "requirements.md").is_file()


def test_a_folder_that_was_spoilt_meanwhile_is_told_after_the_run(cli: Cli) -> None:
    """Exit code 3 means that nothing was started; a run that is done ends with 1 and says how to get its project."""
    done = cli("run", "A todo", "--workflow", cli.short_workflow(), "--out", "project")
    assert done.returncode == 0, done
    run_id = cli.json("status")["run_id"]
    (cli.folder / "project/docs/requirements.md").write_text("mine")
    again = cli("rollback", run_id, "--to", "planning")
    assert again.returncode == 1, again
    assert f"orchestrator resume {run_id}" in again.stderr
    assert (cli.folder / "project/docs/requirements.md").read_text() == "mine"


def test_an_empty_home_is_refused_in_words(cli: Cli) -> None:
    """Nothing is written to /.local because HOME is empty."""
    environment = {"HOME": "", "ORCHESTRATOR_DATA_DIR": ""}
    done = cli("run", "A todo", "--workflow", cli.short_workflow(), **environment)
    assert (done.returncode, one_paragraph(done.stderr)) == (3, True), done
    assert "--data-dir" in done.stderr
    assert not Path("/.local").exists()


def test_a_weaker_sandbox_is_said_at_the_end(cli: Cli) -> None:
    """Where bubblewrap cannot be had, the summary says that the tests ran as a limited process."""
    (cli.folder / "sitecustomize.py").write_text(
        "from orchestrator_v2.workspace import sandbox\nsandbox.find_bwrap = lambda: None\n"
    )
    root = cli.environment["PYTHONPATH"]
    done = cli("run", "A todo", PYTHONPATH=f"{cli.folder}:{root}")
    assert done.returncode == 0, done
    assert "isolation  the tests ran as a limited process" in done.stdout
    assert "limited process" in cli("status").stdout
    assert any(kind.startswith("process") for kind in cli.json("status")["evidence"]["isolation"])
