"""Statuses, bodies and exceptions as this project's errors; the wire is in tests/integration/test_llm_anthropic.py."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator_v2.core.errors import (
    AuthenticationError,
    BadGatewayError,
    BudgetExceededError,
    ProviderUnavailableError,
    QuotaExhaustedError,
    RateLimitedError,
    RequestRejectedError,
    StreamTruncatedError,
)
from orchestrator_v2.core.secrets import Secret
from orchestrator_v2.llm.errors import (
    REASON_CAP,
    from_exception,
    from_status,
    make_error,
    retry_after,
    unsettled_charge,
)

KEY = Secret("sk-ant-api03-planted-canary-value")


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (429, {"error": {"type": "rate_limit_error", "message": "slow down"}}, RateLimitedError),
        (429, {"error": {"message": "You have reached your spend limit"}}, QuotaExhaustedError),
        (429, {"error": {"code": "insufficient_quota", "message": "quota"}}, QuotaExhaustedError),
        (
            429,
            {"error": {"message": "no", "details": {"error_code": "enforced_spend_limit_reached"}}},
            QuotaExhaustedError,
        ),
        (400, {"error": {"message": "Your credit balance is too low"}}, QuotaExhaustedError),
        (402, None, QuotaExhaustedError),
        (401, b"{}", AuthenticationError),
        (403, "", AuthenticationError),
        (400, {"error": {"message": "bad"}}, RequestRejectedError),
        (404, None, RequestRejectedError),
        (413, None, RequestRejectedError),
        (422, None, RequestRejectedError),
        (302, None, RequestRejectedError),
        (408, None, ProviderUnavailableError),
        (409, None, ProviderUnavailableError),
        (500, None, ProviderUnavailableError),
        (503, "<html>down</html>", ProviderUnavailableError),
        (529, {"error": {"type": "overloaded_error"}}, ProviderUnavailableError),
        (200, {"success": False, "msg": "no"}, BadGatewayError),
        (200, [], BadGatewayError),
    ],
)
def test_a_status_and_its_body_are_one_error(status, body, expected):
    """Each row of the fault table that is an HTTP answer maps to its class, and keeps the status."""
    error = from_status(status, body)
    assert type(error) is expected
    assert error.status == status


@pytest.mark.parametrize(
    ("status", "advice"),
    [
        (404, "Check the model's name and the base_url."),
        (400, "Change what it names, then resume."),
        (422, "Change what it names, then resume."),
        (413, "Shorten the prompt."),
        (307, "Check the base_url: no redirect is followed, as the key is for one server."),
    ],
)
def test_what_to_do_fits_the_status_and_follows_a_full_stop(status, advice):
    """Name and address are blamed where they can be at fault; a reason ends as a sentence, also where it is cut."""
    assert str(from_status(status, {"error": {"message": "no such thing"}})).endswith(f"no such thing. {advice}")
    assert from_status(status, {"error": {"message": "Really?"}}).why.endswith("Really?")
    assert from_status(status, None).why == f"HTTP {status}."
    assert len(from_status(status, "x" * 2000).why) == REASON_CAP


def test_retry_after_is_read_as_seconds_milliseconds_and_date():
    """The three forms of the header give seconds from now; anything else gives None."""
    now = 1_800_000_000.0
    assert retry_after({"retry-after": "7"}, now) == 7
    assert retry_after({"retry-after-ms": "1500", "retry-after": "9"}, now) == 1.5
    assert retry_after({"retry-after": "Fri, 15 Jan 2027 08:00:30 GMT"}, now) == 30
    assert retry_after({"retry-after": "Fri, 15 Jan 2021 08:00:30 GMT"}, now) == 0
    assert retry_after({"retry-after": "soon"}, now) is None
    assert retry_after({"retry-after": "inf"}, now) is None
    assert retry_after({}, now) is None


@given(st.text(max_size=60))
def test_any_retry_after_header_is_a_wait_or_none(value):
    """No header text raises, and none gives a negative wait."""
    wait = retry_after({"retry-after": value}, 1_800_000_000.0)
    assert wait is None or wait >= 0


def test_the_server_may_say_that_another_try_is_of_no_use():
    """`x-should-retry: false` marks the error as final."""
    assert from_status(500, None, {"x-should-retry": "false"}).final
    assert not from_status(500, None, {}).final


def test_a_key_that_the_body_echoes_is_redacted_even_at_the_cut():
    """The key is gone from the text wherever it stands, also where the cap would cut it in two."""
    plain = Secret("canary.planted.without.a.vendors.shape")
    for key in (KEY, plain):
        for offset in range(REASON_CAP - 60, REASON_CAP + 5):
            body = {"error": {"message": "x" * offset + key.reveal() + " tail"}}
            error = from_status(401, body, secrets=[key])
            assert "cana" not in str(error)
            assert len(error.why) <= REASON_CAP


def test_what_surely_was_not_billed_costs_nothing():
    """Refusals before any work are free; what may have been worked on is charged as reserved."""
    assert unsettled_charge(from_status(429, None), 500) == 0
    assert unsettled_charge(from_status(400, None), 500) == 0
    assert unsettled_charge(from_status(529, None), 500) == 0
    assert unsettled_charge(from_status(529, None, in_stream=True), 500) == 500
    assert unsettled_charge(from_status(500, None), 500) == 500
    assert unsettled_charge(make_error(StreamTruncatedError, "cut"), 500) == 500
    assert unsettled_charge(KeyboardInterrupt(), 500) == 500
    assert unsettled_charge(BudgetExceededError("no"), 500) == 0
    assert unsettled_charge(from_status(500, None), None) is None


def test_exceptions_are_told_apart_by_their_whole_chain():
    """A connection that never stood is unbilled, a TLS failure is not retried, a timeout may have cost."""
    import ssl

    import httpx2

    refused = from_exception(httpx2.ConnectError("refused"))
    assert type(refused) is ProviderUnavailableError
    assert refused.unbilled
    tls = httpx2.ConnectError("certificate verify failed")
    tls.__cause__ = ssl.SSLError("certificate verify failed")
    assert type(from_exception(tls)) is RequestRejectedError
    hung_up = httpx2.ConnectError("closed in the handshake")
    hung_up.__cause__ = ssl.SSLEOFError("EOF occurred in violation of protocol")
    assert type(from_exception(hung_up)) is ProviderUnavailableError
    late = from_exception(httpx2.ReadTimeout("late"))
    assert type(late) is ProviderUnavailableError
    assert not late.unbilled
    assert type(from_exception(ValueError("odd"))) is RequestRejectedError
