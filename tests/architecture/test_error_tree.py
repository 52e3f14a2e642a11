"""The error tree drawn in `core/errors.py` is the one that exists, and machines can tell its classes apart."""

from __future__ import annotations

import inspect
import re
from collections import Counter
from types import ModuleType

import pytest

from orchestrator_v2.core import errors, operation_errors
from orchestrator_v2.core.errors import OrchestratorError

_BRANCH = re.compile(r"^(?P<indent>(?:│   |    )*)(?:├── |└── )?(?P<name>\w+Error)\b")


PAGES = pytest.mark.parametrize(("page", "root"), [(errors, "Exception"), (operation_errors, "OrchestratorError")])


def drawn(page: ModuleType, root: str) -> dict[str, str]:
    """Class name to parent name, as the docstring draws them."""
    parents: dict[str, str] = {}
    path: list[str] = []
    for line in (page.__doc__ or "").splitlines():
        match = _BRANCH.match(line.removeprefix("    "))
        if match:
            depth = 1 + len(match["indent"]) // 4 if "── " in line else 0
            path = [*path[:depth], match["name"]]
            parents[match["name"]] = path[-2] if len(path) > 1 else root
    return parents


def real(page: ModuleType) -> dict[str, type[OrchestratorError]]:
    return {
        name: value
        for name, value in vars(page).items()
        if inspect.isclass(value) and issubclass(value, BaseException) and value.__module__ == page.__name__
    }


@PAGES
def test_the_drawing_lists_exactly_the_classes_that_exist(page: ModuleType, root: str) -> None:
    """Who reads the docstring of a page of errors knows every error on it and its parent."""
    existing = {name: value.__bases__[0].__name__ for name, value in real(page).items()}
    assert drawn(page, root) == existing
    assert len(existing) >= 15


def test_every_error_has_a_code_of_its_own() -> None:
    """A machine that switches on `code` never confuses two errors, and no class inherits its parent's code."""
    classes = real(errors) | real(operation_errors)
    assert len(classes) > 45
    assert all("code" in vars(value) for value in classes.values())
    assert len({value.code for value in classes.values()}) == len(classes)


def test_every_error_is_shown_as_what_why_and_do() -> None:
    """The text of an error is its three sentences; an absent one leaves no gap."""
    assert str(OrchestratorError("It broke.", "Rust.", "Oil it.")) == "It broke. Rust. Oil it."
    assert str(OrchestratorError("It broke.", do="Oil it.")) == "It broke. Oil it."


def test_an_unknown_name_is_answered_with_the_nearest_and_the_valid_ones() -> None:
    """A typing mistake costs the user one look: the error names the near match and the list."""
    error = errors.UnknownNameError("agent", "architct", ["qa", "architect"])
    assert str(error) == "There is no agent named 'architct'. Valid: architect, qa. Did you mean 'architect'?"
    assert error.exit_code == 3


def test_the_fourteen_errors_of_operations_have_their_status() -> None:
    """Which fault is answered with which HTTP status is written down once more, so that no edit changes it unseen."""
    found = Counter(value.http_status for name, value in real(operation_errors).items() if name != "OperationError")
    assert found == {400: 4, 401: 1, 403: 1, 404: 1, 409: 1, 429: 1, 500: 1, 502: 1, 503: 2, 504: 1}
