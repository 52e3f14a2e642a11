"""Projects laid out with the real git binary: repeatable, killable, and never over somebody's work."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from orchestrator_v2.core.errors import GitError, OutputPathError, UnsafePathError
from orchestrator_v2.workspace.files import read_tree
from orchestrator_v2.workspace.git import Commit, lay_out
from orchestrator_v2.workspace.out_path import check_out_path

COMMITS = (
    Commit("intake\n\nWhat is asked.", {"docs/intake.md": b"# Intake\n", "README.md": b"one\n"}),
    Commit("code", {"src/app/a.py": b"x = 1\n", "src/app/b.py": b"y = 2\n", "README.md": b"two\n"}),
    Commit('naïve 日本 "quoted"', {'docs/ü "q" $(x).md': b"\xff\x00raw", "src/app/c": b"file"}, ("docs/intake.md",)),
    Commit("a directory in a file's place", {"src/app/c/d.py": b"z = 3\n"}, ("src/app/c",)),
)
FINAL = {
    "README.md": b"two\n",
    'docs/ü "q" $(x).md': b"\xff\x00raw",
    "src/app/a.py": b"x = 1\n",
    "src/app/b.py": b"y = 2\n",
    "src/app/c/d.py": b"z = 3\n",
}
LATER = (*COMMITS[:1], Commit("other code", {"src/app/a.py": b"x = 9\n", "docs/new.md": b"new\n"}, ("README.md",)))


def git(out: Path, *arguments: str) -> str:
    command = ["git", "-c", "user.name=U", "-c", "user.email=u@x", *arguments]
    return subprocess.run(command, cwd=out, capture_output=True, text=True, check=True).stdout


def lay(out: Path, commits: tuple[Commit, ...] = COMMITS, mark: str = "run_1") -> str:
    return asyncio.run(lay_out(out, commits, owner_mark=mark))


def test_each_phase_is_a_commit_and_the_work_tree_is_clean(tmp_path: Path) -> None:
    """The history has one commit a phase, HEAD is main, the files are the last state, git finds no fault."""
    out = tmp_path / "deep" / "out"
    tree = lay(out)
    assert read_tree(out, limit=10_000) == FINAL
    assert git(out, "log", "--reverse", "--format=%s|%an <%ae>").splitlines() == [
        f"{commit.message.splitlines()[0]}|orchestrator_v2 <orchestrator@localhost>" for commit in COMMITS
    ]
    assert git(out, "rev-parse", "HEAD^{tree}").strip() == tree
    assert git(out, "branch", "--show-current").strip() == "main"
    assert git(out, "status", "--porcelain", "--ignored") == ""
    assert git(out, "diff-files") == "", "the index knows the files' stat data"
    git(out, "fsck", "--strict")
    assert git(out, "config", "orchestrator.run").strip() == "run_1"


def test_the_same_commits_have_the_same_ids_anywhere(tmp_path: Path) -> None:
    """Two lay-outs, at another place and time and of another run, agree in the commit id."""
    assert lay(tmp_path / "a") == lay(tmp_path / "b", mark="run_2")
    assert git(tmp_path / "a", "rev-parse", "HEAD") == git(tmp_path / "b", "rev-parse", "HEAD")


def test_laying_out_again_changes_nothing_and_does_not_grow(tmp_path: Path) -> None:
    """Repeating it is free of effect: same tree, same packs, same file times."""
    tree = lay(tmp_path)
    before = {
        p: p.stat().st_mtime_ns for p in tmp_path.rglob("*") if p.is_file() and p.suffix in {".py", ".pack", ".md"}
    }
    assert len(before) > 4
    assert lay(tmp_path) == tree
    assert {p: p.stat().st_mtime_ns for p in before} == before
    assert len(list(tmp_path.glob(".git/objects/pack/*.pack"))) == 1


def test_a_run_that_went_on_or_back_replaces_what_was_laid_out(tmp_path: Path) -> None:
    """More phases, then another history: files that are gone are removed, with their directories."""
    lay(tmp_path, COMMITS[:1])
    lay(tmp_path, COMMITS)
    lay(tmp_path, LATER)
    assert read_tree(tmp_path, limit=10_000) == {
        "docs/intake.md": b"# Intake\n",
        "docs/new.md": b"new\n",
        "src/app/a.py": b"x = 9\n",
    }
    assert git(tmp_path, "status", "--porcelain") == ""
    assert not (tmp_path / "src" / "app" / "c").exists()


def test_files_that_were_never_ours_are_left_alone(tmp_path: Path) -> None:
    """A cache or a note that the user put beside the project stays."""
    lay(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "src" / "__pycache__").mkdir()
    lay(tmp_path, LATER)
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert (tmp_path / "src" / "__pycache__").is_dir()


def edit(out: Path) -> None:
    (out / "README.md").write_text("my words")


def plant(out: Path) -> None:
    (out / "docs" / "new.md").write_text("my own file where the next one goes")


def link(out: Path) -> None:
    (out / "README.md").unlink()
    (out / "README.md").symlink_to("/etc/passwd")


def commit(out: Path) -> None:
    edit(out)
    git(out, "commit", "-qam", "mine")


def branch(out: Path) -> None:
    git(out, "checkout", "-qb", "mine")


def unmark(out: Path) -> None:
    git(out, "config", "--unset", "orchestrator.run")


@pytest.mark.parametrize("work", [edit, plant, link, commit, branch, unmark])
def test_a_users_work_is_never_overwritten(tmp_path: Path, work: object) -> None:
    """An edit, a file in the way, a link, a commit on top, another branch, a removed mark: all refused, all kept."""
    lay(tmp_path)
    work(tmp_path)
    head, files = git(tmp_path, "rev-parse", "HEAD"), read_tree(tmp_path, limit=10_000)
    with pytest.raises(OutputPathError) as caught:
        lay(tmp_path, LATER)
    assert caught.value.why and caught.value.do
    assert git(tmp_path, "rev-parse", "HEAD") == head
    assert read_tree(tmp_path, limit=10_000) == files


def refused(out: Path, mark: str | None = "run_1") -> str:
    with pytest.raises(OutputPathError) as caught:
        asyncio.run(check_out_path(out, mark))
    with pytest.raises(OutputPathError):
        lay(out, mark=mark or "run_1")
    return str(caught.value)


def test_paths_that_cannot_hold_a_project_are_refused_early(tmp_path: Path) -> None:
    """A file, a path below one, /proc, a foreign directory or repository, another run's project, bad names."""
    (tmp_path / "file").write_text("x")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("x")
    (tmp_path / "theirs").mkdir()
    git(tmp_path / "theirs", "init", "-q")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    lay(tmp_path / "ours")
    assert "It is a file" in refused(tmp_path / "file")
    assert "is a file" in refused(tmp_path / "file" / "below" / "it")
    assert refused(Path("/proc/x/y"))
    assert "not empty" in refused(tmp_path / "full")
    assert "did not make" in refused(tmp_path / "theirs")
    assert "another run" in refused(tmp_path / "ours", "run_2")
    assert "link to nothing" in refused(tmp_path / "dangling")
    assert refused(tmp_path / ("x" * 300))
    assert refused(Path("/tmp/a\0b"))
    assert asyncio.run(check_out_path(tmp_path / "ours", "run_1")) is None
    assert asyncio.run(check_out_path(tmp_path / "new" / "deep", None)) is None
    assert sorted(p.name for p in tmp_path.iterdir()) == ["dangling", "file", "full", "ours", "theirs"], (
        "checking leaves nothing behind"
    )


def test_a_link_to_an_empty_directory_is_followed_on_the_users_word(tmp_path: Path) -> None:
    """--out may itself be a link that the user made."""
    (tmp_path / "real").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "real")
    lay(tmp_path / "out")
    assert (tmp_path / "real" / "README.md").read_bytes() == b"two\n"


def test_an_unsafe_name_in_a_commit_leaves_no_directory(tmp_path: Path) -> None:
    """Names are checked before anything is made."""
    for files in ({".git/hooks/post-checkout": b"x"}, {"../x": b""}, {"a": b"", "A": b""}):
        with pytest.raises(UnsafePathError):
            lay(tmp_path / "out", (Commit("evil", files),))
    with pytest.raises(GitError):
        lay(tmp_path / "out", ())
    assert not (tmp_path / "out").exists()


def test_hooks_and_configuration_of_the_user_have_no_say(tmp_path: Path) -> None:
    """A hook in the repository, a global configuration and GIT_* variables change nothing."""
    lay(tmp_path / "plain")
    witness = tmp_path / "witness"
    hook = tmp_path / "hook"
    hook.write_text(f"#!/bin/sh\ntouch {witness}\n")
    hook.chmod(0o755)
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / ".gitconfig").write_text(
        f"[core]\n\tfsmonitor = {hook}\n\tautocrlf = true\n[init]\n\tdefaultBranch = x\n"
    )
    out = tmp_path / "out"
    lay(out, COMMITS[:1])
    for name in ("post-checkout", "reference-transaction", "post-index-change"):
        (out / ".git" / "hooks").mkdir(exist_ok=True)
        shutil.copy(hook, out / ".git" / "hooks" / name)
    code = (
        "import asyncio, sys; from pathlib import Path; sys.path.insert(0, 'tests/integration')\n"
        "import test_workspace_git as t\n"
        f"t.lay(Path({str(out)!r}))\n"
    )
    environ = {
        **os.environ,
        "HOME": str(tmp_path / "home"),
        "GIT_DIR": str(tmp_path / "plain" / ".git"),
        "GIT_AUTHOR_NAME": "x",
    }
    subprocess.run([sys.executable, "-c", code], check=True, env=environ, cwd=Path(__file__).parents[2])
    assert not witness.exists()
    assert git(out, "rev-parse", "HEAD") == git(tmp_path / "plain", "rev-parse", "HEAD")


def test_without_git_the_error_says_how_to_get_it(tmp_path: Path) -> None:
    """A machine without git gets a sentence, not a traceback."""
    code = (
        "import asyncio; from pathlib import Path\n"
        "from orchestrator_v2.core.errors import GitError\n"
        "from orchestrator_v2.workspace.git import Commit, lay_out\n"
        f"try:\n    asyncio.run(lay_out(Path({str(tmp_path / 'o')!r}), [Commit('m', {{'a': b'1'}})], owner_mark='r'))\n"
        "except GitError as error:\n    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        check=False,
        env={"PATH": str(tmp_path)},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
    )
    assert "Install git" in done.stdout, done.stderr


KILLED = (
    "import asyncio, sys; from pathlib import Path; sys.path.insert(0, 'tests/integration')\n"
    "import test_workspace_git as t; from orchestrator_v2.core.probe import KillAt, no_probe\n"
    "from orchestrator_v2.workspace.git import lay_out\n"
    "point, out, which = sys.argv[1:4]\n"
    "probe = KillAt(*point.split(':')[:1], int(point.split(':')[1])) if ':' in point else no_probe\n"
    "print('go', flush=True)\n"
    "asyncio.run(lay_out(Path(out), getattr(t, which), owner_mark='run_1', probe=probe))\n"
)


def start(out: Path, point: str, which: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", KILLED, point, str(out), which]
    return subprocess.Popen(command, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)


@pytest.mark.parametrize(
    "point", ["artifact-temp-written:1", "artifact-renamed:1", "artifact-temp-written:3", "artifact-renamed:4"]
)
@pytest.mark.parametrize("then", ["COMMITS", "LATER"])
def test_killed_at_a_crash_point_the_next_lay_out_finishes(tmp_path: Path, point: str, then: str) -> None:
    """After a SIGKILL in the middle of the files, the same or another state is laid out whole and clean."""
    process = start(tmp_path, point, "COMMITS")
    assert process.wait() == -signal.SIGKILL
    process.stdout.close()
    lay(tmp_path, globals()[then])
    lay(tmp_path / "fresh", globals()[then])
    assert git(tmp_path, "status", "--porcelain", "--untracked-files=no") == ""
    assert git(tmp_path, "rev-parse", "HEAD") == git(tmp_path / "fresh", "rev-parse", "HEAD")
    assert not list(tmp_path.rglob("*.orchestrator-tmp"))


def test_killed_twice_between_three_histories_nothing_is_taken_for_a_users_edit(tmp_path: Path) -> None:
    """What the first killed lay-out wrote is known as ours by the third, though the second never replaced it."""
    for point, which in (("artifact-renamed:5", "COMMITS"), ("artifact-temp-written:1", "LATER")):
        process = start(tmp_path, point, which)
        assert process.wait() == -signal.SIGKILL
        process.stdout.close()
    assert (tmp_path / "src/app/a.py").read_bytes() == b"x = 1\n"
    lay(tmp_path, (Commit("third", {"src/app/a.py": b"x = 3\n"}),))
    assert read_tree(tmp_path, limit=10_000) == {"src/app/a.py": b"x = 3\n"}
    assert "unfinished" not in git(tmp_path, "for-each-ref")


def test_killed_at_any_instant_it_ends_right(tmp_path: Path) -> None:
    """Kills at random moments, each over what the last one left, between two histories; then it is whole."""
    chance = random.Random(7)
    hits = 0
    out = tmp_path / "out"
    for turn in range(12):
        process = start(out, "none", ("COMMITS", "LATER")[turn % 2])
        process.stdout.readline()
        time.sleep(chance.uniform(0.0, 0.06))
        process.kill()
        hits += process.wait() == -signal.SIGKILL
        process.stdout.close()
    assert hits >= 4, "kills must have hit a lay-out in flight"
    time.sleep(0.1)
    tree = lay(out)
    assert read_tree(out, limit=10_000) == FINAL
    assert git(out, "status", "--porcelain") == ""
    assert git(out, "rev-parse", "HEAD^{tree}").strip() == tree
    assert git(out, "for-each-ref", "--format=%(refname)").split() == [
        "refs/heads/main", "refs/orchestrator/laid", "refs/orchestrator/next",
    ]  # fmt: skip
    git(out, "fsck", "--strict")


def test_a_power_cut_that_blanked_files_is_repaired(tmp_path: Path) -> None:
    """Empty and zeroed files are laid out again, because nobody's work is in them."""
    lay(tmp_path)
    (tmp_path / "README.md").write_bytes(b"")
    (tmp_path / "src/app/a.py").write_bytes(b"\0\0\0")
    (tmp_path / "src/app/b.py").unlink()
    lay(tmp_path)
    assert read_tree(tmp_path, limit=10_000) == FINAL
