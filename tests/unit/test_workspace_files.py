"""Writing, reading and removing trees where somebody planted links, pipes and mazes."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator_v2.core.errors import UnsafePathError, WorkspaceError
from orchestrator_v2.workspace.beneath import DIRECTORY, open_beneath, walk_beneath
from orchestrator_v2.workspace.files import read_file, read_tree, remove_files, remove_tree, write_tree

FILES = {"README.md": b"hello\n", "src/app/core.py": b"x = 1\n", "empty": b""}


@pytest.mark.parametrize("durable", [True, False])
def test_what_is_written_is_read_back_without_an_exec_bit(tmp_path: Path, durable: bool) -> None:
    """A tree survives the way to the disk and back, and nothing in it can be executed."""
    write_tree(tmp_path / "new" / "root", FILES, durable=durable)
    assert read_tree(tmp_path / "new" / "root", limit=100) == FILES
    modes = [p.stat().st_mode for p in (tmp_path / "new").rglob("*") if p.is_file()]
    assert len(modes) == 3 and not any(mode & 0o111 for mode in modes)


def test_writing_again_replaces_whole_files(tmp_path: Path) -> None:
    """A longer old content leaves no tail, and what is not named stays."""
    write_tree(tmp_path, {"a": b"long content", "b": b"1"}, durable=False)
    write_tree(tmp_path, {"a": b"s"}, durable=False)
    assert read_tree(tmp_path, limit=100) == {"a": b"s", "b": b"1"}


@pytest.mark.parametrize("link_to_directory", [True, False])
def test_a_planted_link_never_lets_a_write_escape(tmp_path: Path, link_to_directory: bool) -> None:
    """A link in place of a directory is refused, one in place of a file is replaced; outside nothing changes."""
    outside, root = tmp_path / "outside", tmp_path / "root"
    outside.mkdir()
    (outside / "victim").write_text("precious")
    root.mkdir()
    if link_to_directory:
        (root / "sub").symlink_to(outside)
        with pytest.raises(UnsafePathError):
            write_tree(root, {"sub/victim": b"evil"}, durable=False)
        with pytest.raises(UnsafePathError):
            remove_files(root, ["sub/victim"])
    else:
        (root / "victim").symlink_to(outside / "victim")
        write_tree(root, {"victim": b"evil"}, durable=False)
        assert not (root / "victim").is_symlink()
    assert (outside / "victim").read_text() == "precious"


@pytest.mark.parametrize("opener", [open_beneath, walk_beneath])
def test_both_ways_of_opening_refuse_links_and_dots(tmp_path: Path, opener: object) -> None:
    """The kernel's call and the walk that replaces it agree on what may be opened."""
    (tmp_path / "root" / "real").mkdir(parents=True)
    (tmp_path / "root" / "real" / "f").write_text("in")
    (tmp_path / "secret").write_text("out")
    (tmp_path / "root" / "up").symlink_to(tmp_path)
    (tmp_path / "root" / "s").symlink_to(tmp_path / "secret")
    root = os.open(tmp_path / "root", DIRECTORY)
    try:
        for path in ("up/secret", "s", "../secret", "real/../../secret", str(tmp_path / "secret")):
            with pytest.raises((OSError, UnsafePathError)):
                opener(root, path, os.O_RDONLY)
        handle = opener(root, "real/f", os.O_RDONLY)
        assert os.read(handle, 9) == b"in"
        os.close(handle)
    finally:
        os.close(root)


def test_reading_leaves_out_links_pipes_and_what_is_too_large(tmp_path: Path) -> None:
    """A planted link, FIFO or huge file is neither followed nor waited for."""
    root = tmp_path / "root"
    write_tree(root, FILES, durable=False)
    (root / "link").symlink_to("/etc/passwd")
    os.mkfifo(root / "fifo")
    (root / ".git").mkdir()
    (root / ".git" / "config").write_text("x")
    assert read_tree(root, limit=100) == FILES
    assert [read_file(root, name, limit=100) for name in ("link", "fifo", "none", "src")] == [None] * 4
    assert read_file(root, "README.md", limit=5) is None
    with pytest.raises(WorkspaceError, match="too large"):
        read_tree(root, limit=10)


def test_unsafe_and_colliding_names_write_nothing(tmp_path: Path) -> None:
    """One bad name among good ones, and the tree stays untouched."""
    for bad in ({"ok": b"1", "../x": b"2"}, {"a": b"1", "A": b"2"}):
        with pytest.raises(UnsafePathError):
            write_tree(tmp_path / "root", bad)
    assert not (tmp_path / "root").exists()


def test_a_disk_that_says_no_is_a_workspace_error(tmp_path: Path) -> None:
    """A directory in a file's place is named in the error, and its content is not lost."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "kept").write_text("x")
    with pytest.raises(WorkspaceError, match="'a' could not be written"):
        write_tree(tmp_path, {"a": b"1"})
    assert (tmp_path / "a" / "kept").read_text() == "x"


def test_removing_files_takes_the_directories_it_empties(tmp_path: Path) -> None:
    """Empty directories go, shared ones stay, and a file that is not there is no error."""
    write_tree(tmp_path, {"a/b/c": b"1", "a/d": b"2", "e/f": b"3"}, durable=False)
    remove_files(tmp_path, ["a/b/c", "e/f", "not/there"])
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["a", "d"]


def test_a_maze_deeper_than_the_recursion_limit_is_removed(tmp_path: Path) -> None:
    """A tree that foreign code made very deep, and closed, is still cleaned away."""
    root = tmp_path / "root"
    root.mkdir()
    here = os.open(root, DIRECTORY)
    for _ in range(1500):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", DIRECTORY, dir_fd=here)
        os.close(here)
        here = below
    os.fchmod(here, 0o000)
    os.close(here)
    (root / "link").symlink_to("/etc")
    remove_tree(root)
    assert not root.exists()
    assert Path("/etc/passwd").exists()


@pytest.mark.parametrize("point", ["artifact-temp-written", "artifact-renamed"])
def test_a_writer_killed_at_a_crash_point_leaves_whole_files_only(tmp_path: Path, point: str) -> None:
    """After a SIGKILL between temp and rename each file is old or new, and writing again leaves no rest."""
    write_tree(tmp_path, {"a": b"old" * 1000, "b": b"old" * 1000})
    script = (
        "from pathlib import Path\nfrom orchestrator_v2.core.probe import KillAt\n"
        "from orchestrator_v2.workspace.files import write_tree\n"
        f"write_tree(Path({str(tmp_path)!r}), {{'a': b'new' * 1000, 'b': b'new' * 1000}}, probe=KillAt({point!r}, 2))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], check=False)
    assert done.returncode == -signal.SIGKILL
    now = {name: (tmp_path / name).read_bytes() for name in ("a", "b")}
    assert now["a"] == b"new" * 1000
    assert now["b"] == (b"old" if point == "artifact-temp-written" else b"new") * 1000
    write_tree(tmp_path, {"a": b"new", "b": b"new"})
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "b"]
    assert stat.S_ISREG((tmp_path / "b").stat().st_mode)
