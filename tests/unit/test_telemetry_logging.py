"""No key reaches a log, whichever way it came into the record, and a line is what it seems to be."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable, Iterator
from contextvars import ContextVar

import pytest

from orchestrator_v2.core.secrets import Secret
from orchestrator_v2.telemetry.logging import VENDOR_LOGGERS, configure_logging

LIVE = 'live key, no known "shape" at all'
SHAPED = "sk-ant-never-heard-of-0123456789"
LOGGER = logging.getLogger("orchestrator_v2.test")


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Logging is the process's own; each test gives it back as it was."""
    root = logging.getLogger()
    handlers, levels = list(root.handlers), {name: logging.getLogger(name).level for name in VENDOR_LOGGERS}
    yield
    root.handlers[:] = handlers
    logging.getLogger("orchestrator_v2").setLevel(logging.NOTSET)
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


def in_message(key: str) -> None:
    LOGGER.warning(f"sent {key}")


def in_arguments(key: str) -> None:
    LOGGER.warning("sent %s and %r", key, {"header": key})


def in_named_arguments(key: str) -> None:
    LOGGER.warning("sent %(key)s", {"key": key})


def in_exception(key: str) -> None:
    try:
        try:
            raise KeyError(key)
        except KeyError as error:
            raise ValueError(f"refused {key}") from error
    except ValueError:
        LOGGER.exception("it failed")


def in_extra(key: str) -> None:
    LOGGER.warning("sent", extra={"headers": {"x-api-key": [key, (key,)], key: 1}, "error": ValueError(key)})


def in_bad_arguments(key: str) -> None:
    LOGGER.warning("%d sent", key)


def in_logger_name(key: str) -> None:
    logging.getLogger(f"orchestrator_v2.{key}").warning("sent")


WAYS = (in_message, in_arguments, in_named_arguments, in_exception, in_extra, in_bad_arguments, in_logger_name)


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("key", [LIVE, SHAPED])
def test_a_planted_key_is_in_no_line(
    key: str, way: Callable[[str], None], as_json: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """A live key by its value and a foreign one by its shape are gone from message, arguments, exception and extra."""
    stream = io.StringIO()
    handler = configure_logging("debug", stream, json=as_json, secrets=[Secret(LIVE)])
    logging.getLogger().handlers[:] = [handler]  # pytest's own raises on a record that does not format
    way(key)
    logged = stream.getvalue()
    assert logged.count("\n") >= 1
    for part in (key, key[:16], json.dumps(key)[1:-1]):
        assert part not in logged + capsys.readouterr().err


def test_the_planted_key_is_seen_where_nothing_redacts() -> None:
    """The check above is able to fail: a key that is neither live nor shaped like one stands in the log."""
    stream = io.StringIO()
    configure_logging("debug", stream)
    in_message(LIVE)
    assert LIVE in stream.getvalue()


def test_a_key_that_became_live_later_is_redacted() -> None:
    """The handler reads the collection of secrets at each record."""
    stream, secrets = io.StringIO(), list[Secret]()
    configure_logging("info", stream, secrets=secrets)
    secrets.append(Secret(LIVE))
    in_message(LIVE)
    assert LIVE not in stream.getvalue()


def test_a_json_line_is_one_object_with_extras_and_correlation() -> None:
    """A machine reads level, logger, message, exception, extras and the run that was worked on."""
    stream, run = io.StringIO(), ContextVar("run", default="")
    configure_logging("info", stream, json=True, correlation=run)
    LOGGER.info("before")
    token = run.set("run_7")
    LOGGER.info("two\nlines", extra={"tokens": 3, "rate": float("nan"), "lone": "\udcff"})
    run.reset(token)
    before, after = (json.loads(line) for line in stream.getvalue().splitlines())
    assert "correlation" not in before
    assert (after["correlation"], after["message"], after["tokens"], after["rate"]) == ("run_7", "two\nlines", 3, "nan")
    assert (after["level"], after["logger"]) == ("info", "orchestrator_v2.test")
    assert after["at"].endswith("Z")


def test_a_text_line_cannot_be_forged() -> None:
    """Text of a model can neither begin a line of its own nor move the terminal's cursor."""
    stream = io.StringIO()
    configure_logging("info", stream)
    LOGGER.info("done\n2030-01-01T00:00:00.000Z ERROR forged: \x1b[2J\r\x9b1m")
    first, second = stream.getvalue().splitlines()
    assert first.endswith("INFO orchestrator_v2.test: done")
    assert second.startswith("  2030")
    assert not {"\x1b", "\r", "\x9b"} & set(second)


@pytest.mark.parametrize("name", VENDOR_LOGGERS)
def test_vendors_are_held_at_warning(name: str) -> None:
    """At our debug level a vendor's request log (headers, bodies) stays shut, its warnings do not."""
    stream = io.StringIO()
    configure_logging("debug", stream)
    logging.getLogger(f"{name}._client").info("request with headers")
    logging.getLogger(name).warning("careful")
    assert stream.getvalue().endswith(f"WARNING {name}: careful\n")
    assert "headers" not in stream.getvalue()


def test_the_level_is_obeyed_and_a_second_call_replaces_the_first() -> None:
    """Each record is written once, by the last configuration, from its level on."""
    first, second = io.StringIO(), io.StringIO()
    configure_logging("debug", first)
    configure_logging("warning", second)
    LOGGER.info("no")
    LOGGER.warning("yes")
    assert first.getvalue() == ""
    assert second.getvalue().count("\n") == 1
