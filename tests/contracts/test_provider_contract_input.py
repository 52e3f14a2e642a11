"""Every provider's wire under wrong input, and a planted key that must be in no sink whatever the server does with it.

The check itself (`CANARY not in talk.shown()`) is made after each conversation of the contract, in `provider_cases.py`.
"""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from provider_cases import ASK, CANARY, KEY, LONG, ONCE, OPTIONS, WIRES, Bench, Dialect, Talk, opened

from orchestrator_v2.core.clock import ManualClock
from orchestrator_v2.core.errors import (
    BadGatewayError,
    ConfigError,
    CredentialMissingError,
    OrchestratorError,
    PromptTooLargeError,
    ProviderError,
    RequestRejectedError,
    UnknownNameError,
)
from orchestrator_v2.core.secrets import Secret
from orchestrator_v2.llm.auth import credential_variables
from orchestrator_v2.llm.call_log import CallLogFile, ledger_row
from orchestrator_v2.llm.types import Completion, Image, InvokeOptions, Message
from orchestrator_v2.telemetry.logging import configure_logging
from orchestrator_v2.testing.fake_server import Fault
from orchestrator_v2.testing.memory_ledger import MemoryCallLedger

ECHO = f"you sent {KEY.reveal()}"
ECHOED_HEADERS = {
    name: KEY.reveal()
    for name in ("request-id", "x-request-id", "x-amzn-requestid", "server", "retry-after", "location")
}


@pytest.fixture(scope="module", params=WIRES, ids=lambda wire: wire.name)
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    with opened(request.param) as bench:
        yield bench


def refused(bench: Bench, **config: Any) -> OrchestratorError:
    """The error that the making of a client ends in."""
    with pytest.raises(OrchestratorError) as caught:
        bench.factory(ManualClock()).create_client(bench.config(**config))
    assert CANARY not in str(caught.value) + repr(caught.value)
    return caught.value


def test_a_wrong_model_is_named_with_the_one_that_was_meant(bench: Bench) -> None:
    """Where the catalog knows the vendor's models nothing is sent; elsewhere the server's word is shown."""
    if bench.dialect.unknown:
        error = refused(bench, model=bench.dialect.unknown, base_url="")
        assert isinstance(error, UnknownNameError)
        assert f"Did you mean '{bench.dialect.model}'?" == error.do
    answer = bench.dialect.reply(status=404, message="model: no-such-model")
    talk = bench.talk([answer], model="no-such-model")
    assert (type(talk.result), talk.rows[0].charged) == (RequestRejectedError, 0)
    assert "no-such-model" in talk.result.why
    assert "model's name" in talk.result.do


def test_a_retired_model_names_its_successor(bench: Bench) -> None:
    """What many still have in their configuration is answered with what to use in its place."""
    old, successor = bench.dialect.retired
    if not old:
        pytest.skip("this vendor's models are not known by name")
    error = refused(bench, model=old, base_url="")
    assert isinstance(error, ConfigError)
    assert old in error.what and successor in error.do


@pytest.mark.parametrize(
    "url",
    [
        *("http://api.example.com", "ftp://localhost", "nonsense", "https://", "http://localhost:99999"),
        *(f"https://me:{KEY.reveal()}@api.example.com", f"https://localhost/?key={KEY.reveal()}"),
    ],
)
def test_a_base_url_that_no_key_may_be_sent_to_is_refused(bench: Bench, url: str) -> None:
    """Plain http to another machine, a password, a query, no URL at all: an error before anything is made."""
    assert isinstance(refused(bench, base_url=url), ConfigError)


def test_a_base_url_that_is_something_else_is_said(bench: Bench) -> None:
    """A web page's 404 is rejected, and the base_url is what to look at."""
    page = bench.dialect.reply(status=404, body=b"<html>Not Found</html>", headers={"content-type": "text/html"})
    talk = bench.talk([page])
    assert (type(talk.result), talk.rows[0].charged) == (RequestRejectedError, 0)
    assert "base_url" in talk.result.do


def test_a_model_name_stays_in_its_place(bench: Bench) -> None:
    """Behind a base_url any name passes; it leads to no other path, query or host."""
    for name in ("../../admin?x=1#y", "a b", "größe", "%2e%2e/x", "//evil.example/x"):
        talk = bench.talk(["ok"], model=name)
        assert talk.result.text == "ok"
        assert "evil.example" not in talk.requests[0].headers["host"]


def test_without_a_key_there_is_no_client(bench: Bench) -> None:
    """The error names a variable to set; Bedrock alone looks for AWS's own keys later."""
    if bench.dialect.provider == "bedrock":
        pytest.skip("AWS's own chain may find keys")
    error = refused(bench, credential=None)
    assert isinstance(error, CredentialMissingError)
    assert credential_variables(bench.dialect.provider)[0] in error.do


@pytest.mark.parametrize(
    "value", ["clé-canary-value-0000", "two canary-words-0000", "sk-canary\nX-Evil: 1", "canary\x00x"]
)
def test_a_key_that_no_header_can_carry_is_refused_and_not_shown(bench: Bench, value: str) -> None:
    """Line ends, NUL and other scripts never reach a header, nor the error; nothing is charged or sent again."""
    try:
        talk = bench.talk(["ok"], credential=Secret(value))
    except ConfigError as error:
        assert "cannot be sent" in str(error)
        return
    if isinstance(talk.result, OrchestratorError):
        assert type(talk.result) in (RequestRejectedError, ConfigError)
        assert talk.requests == []
        assert [row.charged for row in talk.rows] in ([], [0])
    else:
        assert all("x-evil" not in seen.headers for seen in talk.requests)


def test_a_prompt_over_the_window_says_by_how_much_and_is_not_sent(bench: Bench) -> None:
    """Nothing is sent, nothing reserved, and the number is in the words."""
    info = bench.factory(ManualClock()).resolve(bench.config())
    if info.facts.window is None:
        pytest.skip("nobody knows this model's window")
    talk = bench.talk(["ok"], messages=(Message("user", "word " * info.facts.window * 2),))
    assert type(talk.result) is PromptTooLargeError
    assert talk.result.over_by > info.facts.window / 2
    assert f"{talk.result.over_by:,}" in str(talk.result)
    assert (talk.requests, talk.rows) == ([], [])


def test_text_that_is_no_unicode_is_refused_unsent(bench: Bench) -> None:
    """A lone surrogate cannot be sent, nor break the log of a call without a ledger."""
    talk = bench.talk(["ok"], messages=(Message("user", "half a character: \ud800"),))
    assert (type(talk.result), talk.requests, talk.rows) == (RequestRejectedError, [], [])

    async def go() -> None:
        client = bench.factory(ManualClock(auto=True)).create_client(bench.config(), log=CallLogFile(Path("/dev/null")))
        await client.invoke("half a character: \ud800")

    with pytest.raises(RequestRejectedError):
        bench.runner.run(go())


WITHOUT_A_TURN = ((Message("assistant", "I"),), InvokeOptions(images=(Image(b"x"),)))
STRANGE_PICTURE = (ASK, InvokeOptions(images=(Image(b"x", "image/tiff"),)))


@pytest.mark.parametrize("given", [WITHOUT_A_TURN, STRANGE_PICTURE], ids=["without a turn", "tiff"])
def test_a_picture_that_cannot_be_sent_is_refused_unsent(bench: Bench, given: Any) -> None:
    """One without a turn of the user, one of a strange kind: an error in words, nothing sent, nothing charged."""
    messages, options = given
    talk = bench.talk(["ok"], messages=messages, options=options)
    assert (type(talk.result), talk.requests, talk.rows[0].charged) == (RequestRejectedError, [], 0)


def test_stray_environment_variables_decide_nothing(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys, addresses, headers, organisations and proxies of the environment reach no request of ours."""
    for wire in WIRES:
        for name in credential_variables(wire.provider):
            monkeypatch.setenv(name, "sk-of-somebody-else")
    for name in ("ANTHROPIC_AUTH_TOKEN", "OPENAI_ORG_ID", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "stray")
    for name in ("ANTHROPIC_BASE_URL", "OPENAI_BASE_URL", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("ANTHROPIC_CUSTOM_HEADERS", "OPENAI_CUSTOM_HEADERS"):
        monkeypatch.setenv(name, "Authorization: Bearer stolen\nx-stray: 1")
    own = bench.talk(["Hello."]).requests[0]
    assert bench.dialect.key_of(own) == KEY.reveal()
    assert "stray" not in repr(own) and "somebody" not in repr(own)


def _later(make: Callable[[Dialect], bytes]) -> Callable[[Dialect], Fault]:
    return lambda wire: wire.reply(events=(*wire.stream(wire.reply(text=LONG))[:3], make(wire)))


# What a server, or a proxy before it, may do with the key that it was sent.
ECHOES: dict[str, Callable[[Dialect], Fault]] = {
    "401": lambda wire: wire.reply(status=401, message=ECHO),
    "400 as text": lambda wire: wire.reply(status=400, body=ECHO.encode()),
    "400 as a list": lambda wire: wire.reply(status=400, body=json.dumps([{"error": {"message": ECHO}}]).encode()),
    "400 odd": lambda wire: wire.reply(status=400, body=json.dumps({"a": {"b": ECHO}}).encode()),
    "500 at the cut": lambda wire: wire.reply(status=500, message="x" * 495 + ECHO),
    "200 success false": lambda wire: wire.reply(body=json.dumps({"success": False, "msg": ECHO}).encode()),
    "200 html": lambda wire: wire.reply(body=f"<p>{ECHO}</p>".encode(), headers={"content-type": "text/html"}),
    "302": lambda wire: wire.reply(status=302, headers={"location": f"/?key={KEY.reveal()}"}),
    "after 200": _later(lambda wire: wire.failed(500, ECHO)),
    "nonsense after 200": _later(lambda wire: wire.event(f"{{{ECHO}".encode())),
    "packed as": lambda wire: wire.reply(headers={"content-encoding": KEY.reveal()}),
    "stop reason": lambda wire: wire.reply(stop_reason=KEY.reveal()),
    "type": lambda wire: wire.reply(headers={"content-type": KEY.reveal()}),
    "headers of a fault": lambda wire: wire.reply(status=503, headers=ECHOED_HEADERS),
    "headers of an answer": lambda wire: wire.reply(headers=ECHOED_HEADERS),
    "refusal": lambda wire: wire.reply(text=LONG, stop_reason=wire.ends["refusal"], headers=ECHOED_HEADERS),
}


@pytest.mark.parametrize("how", ECHOES)
def test_a_key_that_the_server_echoes_is_in_no_sink(
    bench: Bench, how: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Not in the error, its chain, the ledger, the call log, nor in any logger's lines at DEBUG."""
    caplog.set_level(logging.DEBUG)
    stream = io.StringIO()
    root = configure_logging("debug", stream)
    try:
        talk = bench.talk([ECHOES[how](bench.dialect)], retry=ONCE)
        logging.getLogger("orchestrator_v2").error("%s", talk.result)
    finally:
        logging.getLogger().removeHandler(root)
    assert bench.dialect.key_of(talk.requests[0]) == KEY.reveal()
    assert KEY.reveal() not in talk.requests[0].path + talk.requests[0].raw.decode()
    assert CANARY not in caplog.text + stream.getvalue()


def test_an_answer_with_the_key_in_it_is_kept_without_it(bench: Bench) -> None:
    """A server that says the key back: the answer comes and is recorded, with the key blacked out."""
    talk = bench.talk([f"You are {KEY.reveal()}, I see."])
    assert talk.result.text == "You are [redacted], I see."
    assert CANARY not in str(talk.rows) + str(talk.log)


def test_the_search_for_the_key_finds_it_where_it_is(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """The positive control: the transport's own logger, which is kept silent, would have told it at DEBUG."""
    configured = configure_logging("debug", io.StringIO())
    logging.getLogger().removeHandler(configured)
    caplog.set_level(logging.DEBUG)
    bench.talk([bench.dialect.reply(status=400, headers={"x-seen": KEY.reveal()})], retry=ONCE)
    assert CANARY not in caplog.text
    caplog.set_level(logging.DEBUG, logger="httpcore2")
    bench.talk([bench.dialect.reply(status=400, headers={"x-seen": KEY.reveal()})], retry=ONCE)
    assert CANARY in caplog.text


def test_each_line_of_the_call_log_tells_the_whole_call(bench: Bench, tmp_path: Path) -> None:
    """Which row and sending, who, with what options, what came of it, what it used and cost; no picture, no key."""
    path = tmp_path / "llm-requests.log"
    wire = bench.dialect
    options = InvokeOptions(
        max_tokens=77, images=(Image(b"a picture"),), response_schema={"type": "object"}, cache=False
    )
    bench.server.play([wire.reply(status=503), wire.reply(text="Fine. " * 200, usage=wire.usage(150, 20, 50))])

    async def go() -> Completion:
        client = bench.factory(ManualClock(auto=True)).create_client(bench.config(), log=CallLogFile(path))
        ledger_row.set(7)
        return await client.invoke(f"{KEY.reveal()} word " * 300, options, key="a/1")

    answer = bench.runner.run(go())
    failed, done = [json.loads(line) for line in path.read_text().splitlines()]
    for line, attempt in ((failed, 1), (done, 2)):
        assert (line["key"], line["attempt"], line["row"]) == ("a/1", attempt, 7)
        assert (line["provider"], line["model"]) == (wire.provider, wire.model)
        assert line["options"] == {"max_tokens": 77, "images": 1, "schema": True, "cache": False}
        assert len(line["prompt"]) == 500
    assert (failed["outcome"], failed["error"], failed["status"]) == ("failed", "provider_unavailable", 503)
    assert done["cost_nano_usd"] == answer.cost
    counted = [done[f"{name}_tokens"] for name in ("input", "output", "cache_read", "cache_write")]
    assert (counted, done["finish_reason"], len(done["answer"])) == ([150, 50, 20, 0], "stop", 500)
    assert CANARY not in path.read_text()


def test_a_log_that_cannot_be_written_loses_no_answer(
    bench: Bench, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The answer was paid for: it is recorded and given, and a warning says what happened to the log."""
    (tmp_path / "file").write_text("in the way")
    ledger = MemoryCallLedger()
    bench.server.play(["Paid for."])

    async def go() -> Any:
        log = CallLogFile(tmp_path / "file" / "llm-requests.log")
        client = bench.factory(ManualClock(auto=True)).create_client(bench.config(), ledger=ledger, log=log)
        return await client.invoke(ASK, OPTIONS, key="a/1")

    assert bench.runner.run(go()).text == "Paid for."
    assert [row.outcome for row in ledger.rows] == ["done"]
    assert "could not be logged" in caplog.text


def test_errors_are_of_one_tree(bench: Bench) -> None:
    """Whatever the server sends in place of a body, nothing but this project's errors comes out."""

    async def each(client: Any, talk: Talk) -> Any:
        return [await failed(client, number) for number in range(len(bodies))]

    async def failed(client: Any, number: int) -> Any:
        try:
            return await client.invoke(ASK, OPTIONS, key=f"a/{number}")
        except ProviderError as error:
            return error

    words = [
        b"null",
        b"0",
        b'"text"',
        b"{}",
        b"\xff\xfe",
        b"data: null",
        b"data: 1\n\n",
        b"data:\n\n",
        b"\n" * 100,
        b"\r\r\r",
    ]
    words += [b'data: {"type": 3}\n\n', b'data: {"type": "message_start", "message": 5}\n\n', b"event: x\nid: 1\n\n"]
    words += [
        b'data: {"candidates": {}}\n\n',
        b'data: {"choices": [[]]}\n\n',
        b'data: {"error": []}\n\n',
        b":\n\n" * 50,
    ]
    kinds = (bench.dialect.content_type, "application/json")
    bodies = [bench.dialect.reply(body=body, headers={"content-type": kind}) for body in words for kind in kinds]
    results = bench.work(bodies, each, retry=ONCE).result
    assert all(isinstance(result, ProviderError) for result in results)
    assert {type(result) for result in results if result.status == 200} <= {BadGatewayError, ProviderError}
