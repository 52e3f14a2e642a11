"""The law for file names, and collisions between them."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator_v2.core.errors import UnsafePathError
from orchestrator_v2.workspace.names import check_collisions, safe_path

GOOD = (
    "README.md", "src/app/__init__.py", "docs/data-model.json", ".gitignore", "a/.gitkeep", "tests/test_übung.py",
    "docs/日本語.md", "a b/c d.txt", ".github/workflows/ci.yml", "x.env", "git/a", "com/x", "con2.txt", "emoji-🍅.md",
    '"quoted".txt', "$(touch x).md", "-rf", ".env.example", "docs/नमस्‍ते.md",
)  # fmt: skip
BAD = (
    "", ".", "..", "../a", "a/../b", "a/./b", "a//b", "a/", "/etc/passwd", "~/x", "~root/x", "a\\b", "C:/x", "c:x",
    "a:b",
    "a\0b", "a\nb", "a\x1bb", "a\u202eb", "a\u2066b", "a\ufeffb", "\ud800", "a.", "a ", " a", "a/b./c", "con",
    "NUL.txt", "aux.c",
    "Com1", "lpt9.log", "com¹.txt", ".git", ".git/config", "a/.git/hooks/x", ".GIT/x", ".gIt", "git~1", ".gi\u200dt",
    "．git/x", "a/.env", ".ENV", "x.pth", "lib/X.PTH", "sitecustomize.py", "a/SiteCustomize.py", "usercustomize.py",
    "x" * 256, "ü" * 128, "/".join(["a"] * 17), "/".join(["x" * 200] * 6), "…/\u200d",
)  # fmt: skip


@pytest.mark.parametrize("name", GOOD)
def test_an_ordinary_name_is_accepted_as_it_is(name: str) -> None:
    """Names that real projects use pass unchanged."""
    assert safe_path(name) == name


@pytest.mark.parametrize("name", BAD)
def test_a_name_that_could_do_harm_is_refused(name: str) -> None:
    """Each kind of harmful name is refused with an error that says why and what to do."""
    with pytest.raises(UnsafePathError) as caught:
        safe_path(name)
    assert caught.value.why and caught.value.do
    str(caught.value).encode()


def test_a_decomposed_name_comes_back_composed() -> None:
    """Two spellings of one name are one name."""
    assert safe_path(unicodedata.normalize("NFD", "über.md")) == "über.md"


HOSTILE = st.text(alphabet=st.sampled_from(list("a.~/\\ :Gitenvpth\0\u202e\u0301é")), max_size=24)


@given(st.one_of(HOSTILE, st.text(max_size=40), st.lists(HOSTILE, max_size=20).map("/".join)))
def test_an_accepted_path_is_stable_and_stays_below_its_root(name: str) -> None:
    """Whatever is accepted is a fixed point, is relative, and resolves to a place below the root."""
    try:
        path = safe_path(name)
    except UnsafePathError:
        return
    assert safe_path(path) == path
    root = Path("/srv/root")
    resolved = Path(*(root / path).parts)
    assert resolved.is_relative_to(root) and resolved != root and ".." not in resolved.parts
    assert len(path.encode()) <= 1024


@pytest.mark.parametrize(
    "paths",
    [
        ("README.md", "readme.MD"),
        ("straße", "STRASSE"),
        ("a", "a/b"),
        ("A/b", "a"),
        ("a/b/c", "a/B"),
        ("Docs/a.md", "docs/b.md"),
    ],
)
def test_two_paths_that_are_one_somewhere_are_refused(paths: tuple[str, ...]) -> None:
    """Case, composition, and a file in a directory's place are seen, in either order."""
    for order in (paths, paths[::-1]):
        with pytest.raises(UnsafePathError):
            check_collisions(order)


def test_paths_that_differ_everywhere_do_not_collide() -> None:
    """Common prefixes and repeated mention of one path are no collision."""
    check_collisions(["a/b", "a/c", "ab", "a.b", "a/b"])
