"""Every provider's wire under the fault table of a provider: the error, the number of requests, the charge, no key.

Streams and connections are `test_provider_contract_streams.py`, good answers `test_provider_contract_answers.py`,
wrong input and keys `test_provider_contract_input.py`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from provider_cases import ASK, KEY, ONCE, WIRES, Bench, Talk, opened
from provider_faults import ROWS, Row

from orchestrator_v2.core.errors import (
    AuthenticationError,
    BadGatewayError,
    EmptyOutputError,
    OrchestratorError,
    OutputTruncatedError,
    ProviderUnavailableError,
    RateLimitedError,
    RefusalError,
    RequestRejectedError,
)
from orchestrator_v2.llm.base import Embedder, Reachable, TokenCounter, innermost
from orchestrator_v2.llm.client import LLMClient

IDS = [row.name for row in ROWS]
PASSING = [row for row in ROWS if row.sent > 1]


@pytest.fixture(scope="module", params=WIRES, ids=lambda wire: wire.name)
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    with opened(request.param) as bench:
        yield bench


@pytest.mark.parametrize("row", ROWS, ids=IDS)
def test_each_fault_is_its_error_sent_as_often_as_the_table_says_and_charged_by_it(bench: Bench, row: Row) -> None:
    """Class, requests on the wire, waits between them, and rows: free where it was refused, else the reservation."""
    talk = bench.talk([row.make(bench.dialect)] * 5)
    assert type(talk.result) is row.error
    assert len(talk.requests) == len(talk.rows) == len(talk.log) == row.sent
    assert len(talk.clock.slept) == row.sent - 1
    assert {each.outcome for each in talk.rows} == {"failed"}
    for each, line in zip(talk.rows, talk.log, strict=True):
        assert each.charged == line["cost_nano_usd"] == (0 if row.free else each.reserved)
        assert each.reserved != 0
        assert line["row"] == each.id


@pytest.mark.parametrize("row", PASSING, ids=[row.name for row in PASSING])
def test_after_a_passing_fault_the_answer_comes(bench: Bench, row: Row) -> None:
    """What is sent again ends well on a server that has recovered."""
    talk = bench.talk([row.make(bench.dialect), "All is well."])
    assert (talk.result.text, talk.result.attempts) == ("All is well.", 2)
    assert [each.outcome for each in talk.rows] == ["failed", "done"]


@pytest.mark.parametrize("status", [429, 503, 529])
@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after": "Fri, 15 Jan 2027 08:00:45 GMT"}, 45),
        ({"retry-after": "1", "x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "6m0s"}, 1),
    ],
    ids=["seconds", "milliseconds", "date", "beside the time of a whole reset"],
)
def test_a_retry_after_is_waited_for_exactly(
    bench: Bench, status: int, headers: dict[str, str], seconds: float
) -> None:
    """Whatever the status it comes with, and by the injected clock."""
    talk = bench.talk([bench.dialect.reply(status=status, headers=headers), "ok"])
    assert talk.result.text == "ok"
    assert sum(talk.clock.slept) == pytest.approx(seconds)


@pytest.mark.parametrize("after", ["600", "Fri, 15 Jan 2027 08:10:00 GMT", "99999999999"])
def test_a_long_retry_after_is_not_waited_for(bench: Bench, after: str) -> None:
    """Over 120 s the error comes at once, with the time in it."""
    talk = bench.talk([bench.dialect.reply(status=429, headers={"retry-after": after})])
    assert type(talk.result) is RateLimitedError
    assert talk.result.retry_after == (float(after) if after.isdigit() else 600)
    assert (talk.clock.slept, len(talk.requests)) == ([], 1)


@pytest.mark.parametrize("after", ["soon", "-1", "nan", "inf", "Mon, 01 Jan 2024 00:00:00 +9999999999999999"])
def test_a_retry_after_that_means_nothing_changes_nothing(bench: Bench, after: str) -> None:
    """Neither an error nor a good answer is spoilt by it."""
    headers = {"retry-after": after}
    assert type(bench.talk([bench.dialect.reply(status=429, headers=headers)], retry=ONCE).result) is RateLimitedError
    assert bench.talk([bench.dialect.reply(text="fine", headers=headers)], retry=ONCE).result.text == "fine"


def test_a_cut_answer_is_asked_for_once_more_with_a_larger_cap(bench: Bench) -> None:
    """Cut twice is an error after two paid requests; a longer second one is the answer."""
    cut = bench.dialect.reply(text="half", stop_reason=bench.dialect.ends["length"])
    talk = bench.talk([cut, cut])
    assert type(talk.result) is OutputTruncatedError
    assert [bench.dialect.cap_of(seen) for seen in talk.requests] == [1000, 2000]
    assert [row.outcome for row in talk.rows] == ["done", "done"]
    assert bench.talk([cut, "whole"]).result.text == "whole"


def test_an_answer_that_filled_the_window_is_not_asked_for_again(bench: Bench) -> None:
    """A larger cap would not help."""
    if "window" not in bench.dialect.ends:
        pytest.skip("this wire has no word for it")
    talk = bench.talk([bench.dialect.reply(stop_reason=bench.dialect.ends["window"])] * 2)
    assert type(talk.result) is OutputTruncatedError
    assert len(talk.requests) == 1


def test_a_refusal_is_paid_for_shown_and_not_sent_again(bench: Bench) -> None:
    """What the model said is in the error; its row is done."""
    talk = bench.talk([bench.dialect.reply(text="Rather not.", stop_reason=bench.dialect.ends["refusal"])] * 2)
    assert type(talk.result) is RefusalError
    assert "Rather not." in talk.result.why
    assert [row.outcome for row in talk.rows] == ["done"]


def test_an_empty_answer_is_asked_for_once_more(bench: Bench) -> None:
    """White space is no answer: twice it is an error, once it is forgiven; both are paid for."""
    blank = bench.dialect.reply(text=" \n")
    talk = bench.talk([blank, blank])
    assert type(talk.result) is EmptyOutputError
    assert [row.outcome for row in talk.rows] == ["done", "done"]
    assert bench.talk([blank, "Here."]).result.text == "Here."


EXTRAS: dict[str, tuple[type, Callable[[Any], Awaitable[Any]]]] = {
    "count": (TokenCounter, lambda own: own.count_tokens(ASK)),
    "list": (Reachable, lambda own: own.list_models()),
    "embed": (Embedder, lambda own: own.embed(["x"])),
}
EXTRA_FAULTS: list[tuple[dict[str, Any], type[OrchestratorError]]] = [
    ({"status": 429}, RateLimitedError),
    ({"status": 401, "message": KEY.reveal()}, AuthenticationError),
    ({"status": 503}, ProviderUnavailableError),
    ({"status": 307, "headers": {"location": "/v1/models"}}, RequestRejectedError),
    ({"reset": True}, ProviderUnavailableError),
    ({"body": b"<html>"}, BadGatewayError),
    ({"body": b""}, BadGatewayError),
    ({"body": b"[]"}, BadGatewayError),
    ({"body": b'{"x":' * 5000 + b"1" + b"}" * 5000}, BadGatewayError),
    ({"body": b'{"embeddings": [], "totalTokens": "x", "models": 3, "data": {}, "input_tokens": -1}'}, BadGatewayError),
    (
        {"body": b'{"embeddings": [{"values": []}], "data": 3, "models": {}}'},
        BadGatewayError,
    ),
    ({"body": b'{"input_tokens": 1, "totalTokens": 1, "data": [], "x": "%b"}' % (b"x" * 5_000_000)}, BadGatewayError),
    ({"body": b"xxxxxx", "cut_at": 3}, ProviderUnavailableError),
]


@pytest.mark.parametrize("extra", EXTRAS)
def test_the_faults_of_what_is_not_a_call_are_the_same_errors(bench: Bench, extra: str) -> None:
    """Whatever goes wrong while tokens are counted, models listed or vectors made, in one try and unbilled."""
    ability, use = EXTRAS[extra]

    async def go(client: LLMClient, talk: Talk) -> Any:
        own = innermost(client.chain)
        return await use(own) if isinstance(own, ability) else pytest.skip("this wire cannot do that")

    for fields, expected in EXTRA_FAULTS:
        talk = bench.work([bench.dialect.reply(**fields)], go)
        assert (type(talk.result), len(talk.requests)) == (expected, 1), fields
