"""What a provider's answer or exception means in this project's errors: tables, and the few functions that read them.

When a failed call is sent again is `retry.py`; the classes themselves are `core/errors.py`.
"""

from __future__ import annotations

import datetime
import email.utils
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeVar

import msgspec

from orchestrator_v2.core.errors import (
    AuthenticationError,
    BadGatewayError,
    OrchestratorError,
    ProviderError,
    ProviderUnavailableError,
    QuotaExhaustedError,
    RateLimitedError,
    RefusalError,
    RequestRejectedError,
    StreamTruncatedError,
)
from orchestrator_v2.core.secrets import Secret, redact
from orchestrator_v2.llm.origin import origin_of

E = TypeVar("E", bound=ProviderError)

REASON_CAP = 500

_BY_STATUS: Mapping[int, type[ProviderError]] = {
    401: AuthenticationError,
    402: QuotaExhaustedError,
    403: AuthenticationError,
    408: ProviderUnavailableError,
    409: ProviderUnavailableError,
    425: ProviderUnavailableError,
    429: RateLimitedError,
}
_BY_CLASS: Mapping[int, type[ProviderError]] = {
    2: BadGatewayError,
    3: RequestRejectedError,
    4: RequestRejectedError,
    5: ProviderUnavailableError,
}

# What an error event inside a stream, whose status was 200, would have had as its status.
STATUS_OF_TYPE: Mapping[str, int] = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "timeout_error": 408,
    "conflict_error": 409,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "overloaded_error": 529,
    "server_error": 500,
    "internal_server_error": 500,
    "service_unavailable": 503,
    "invalid_api_key": 401,
    "model_not_found": 404,
    "context_length_exceeded": 400,
    "content_filter": 400,
    "insufficient_quota": 429,
    "rate_limit_exceeded": 429,
    "tokens": 429,
    "requests": 429,
    **dict.fromkeys(("1000", "1001", "1002", "1003", "1004"), 401),
    **dict.fromkeys(("1110", "1111", "1112", "1121", "1220", "1311"), 403),
    **dict.fromkeys(("1210", "1212", "1213", "1214", "1215", "1261", "1301"), 400),
    **dict.fromkeys(("1211", "1221", "1222"), 404),
    **dict.fromkeys(("1113", "1302", "1303", "1304", "1305", "1308", "1309", "1310", "1312"), 429),
}

# Codes that say more than the status they come with: OpenAI's words, and Zhipu's numbers
# (https://docs.bigmodel.cn/cn/api/api-code), among them an account without money, one that is locked, and a limit
# of the day or week under the status of a limit of the minute.
_BY_CODE: Mapping[str, type[ProviderError]] = {
    "insufficient_quota": QuotaExhaustedError,
    "exceeded_current_quota_error": QuotaExhaustedError,
    "billing_not_active": QuotaExhaustedError,
    "content_filter": RefusalError,
    "content_policy_violation": RefusalError,
    **dict.fromkeys(("1113", "1304", "1308", "1309", "1310"), QuotaExhaustedError),
    **dict.fromkeys(("1110", "1111", "1112", "1121"), AuthenticationError),
    "1301": RefusalError,
}

# An account that is out of money says so under 400, 403 or 429, by code or in words.
_QUOTA_WORDS = (
    "spend limit",
    "spending limit",
    "spend_limit",
    "credit balance",
    "insufficient_quota",
    "insufficient balance",
    "billing_hard_limit",
    "usage limits",
    "spending cap",
    "credits are depleted",
)
# Google refuses a bad key with a 400, and says so by this reason.
_KEY_WORDS = ("api_key_invalid",)
_QUOTA_STATUSES = frozenset({400, 403, 429})

_ADVICE: Mapping[type[ProviderError], tuple[str, str]] = {
    RateLimitedError: ("The provider asks for a pause.", "Wait, or lower the parallelism."),
    QuotaExhaustedError: ("The account has no money or quota left.", "Raise the limit at the provider, then resume."),
    RefusalError: ("The provider's filter refused the request.", "Change the brief."),
    AuthenticationError: ("The provider refused the key.", "Check the key and what it is allowed to do, then resume."),
    RequestRejectedError: ("The provider rejected the request.", "Change what it names, then resume."),
    ProviderUnavailableError: ("The provider is not available.", "Resume later."),
    BadGatewayError: ("The provider answered with something that is no answer.", "Check the base_url, then resume."),
    StreamTruncatedError: ("The answer broke off before its end.", "Resume: the call will be sent again."),
}

_NOT_THERE = "Check the model's name and the base_url."
_OTHER_ADDRESS = "Check the base_url: no redirect is followed, as the key is for one server."
# What to do about a rejected request, where its status says more than its class.
_REJECTED: Mapping[int, str] = {
    **dict.fromkeys((301, 302, 303, 307, 308), _OTHER_ADDRESS),
    **dict.fromkeys((404, 405, 410), _NOT_THERE),
    413: "Shorten the prompt.",
}

# Vendors' exceptions by class name, so that no SDK is imported here: the class, and whether surely nothing was billed.
_BY_EXCEPTION: Mapping[str, tuple[type[ProviderError], bool]] = {
    "ConnectError": (ProviderUnavailableError, True),
    "ConnectTimeout": (ProviderUnavailableError, True),
    "PoolTimeout": (ProviderUnavailableError, True),
    "UnsupportedProtocol": (RequestRejectedError, True),
    "InvalidURL": (RequestRejectedError, True),
    "LocalProtocolError": (RequestRejectedError, True),
    "UnicodeEncodeError": (RequestRejectedError, True),
    "DecodingError": (BadGatewayError, False),
    "TimeoutException": (ProviderUnavailableError, False),
    "TimeoutError": (ProviderUnavailableError, False),
    "TransportError": (ProviderUnavailableError, False),
    "ConnectionError": (ProviderUnavailableError, False),
    "OSError": (ProviderUnavailableError, False),
    "AnthropicError": (RequestRejectedError, False),
    "ValueError": (RequestRejectedError, False),
    "TypeError": (RequestRejectedError, False),
}
# The same in words, and what to do where the class alone does not say it; the first row that is in the chain of causes
# counts. What such exceptions say themselves holds numbers, names of libraries and, some of them, the key.
_CHECK = "Check the base_url and the network, then resume."
_UNSENDABLE = (
    "The request holds a character that no HTTP request can carry, most likely in the key or the model's name."
)
_IN_WORDS: Mapping[str, tuple[str, str]] = {
    "ConnectionRefusedError": ("{there} refused the connection: nothing listens there.", _CHECK),
    "gaierror": ("The host of {there} is not known.", _CHECK),
    "SSLCertVerificationError": (
        "The certificate of {there} does not verify.",
        "Check the base_url, and which certificate authorities this machine trusts.",
    ),
    "SSLEOFError": ("{there} hung up in the TLS handshake.", _CHECK),
    "ConnectTimeout": ("{there} did not take the connection in time.", _CHECK),
    "SSLError": ("No TLS connection to {there} came about.", "Check the base_url: it may be one for plain http."),
    "ConnectError": ("No connection to {there} came about.", _CHECK),
    "PoolTimeout": ("No connection to {there} became free in time.", "Lower the parallelism, then resume."),
    "ReadTimeout": ("{there} was silent for too long.", ""),
    "WriteTimeout": ("{there} took the request too slowly.", ""),
    "LocalProtocolError": (_UNSENDABLE, "Copy the key again, alone and whole."),
    "UnicodeEncodeError": (_UNSENDABLE, "Copy the key again, alone and whole."),
    "RemoteProtocolError": ("{there} hung up, or does not speak HTTP.", ""),
    "NetworkError": ("{there} hung up before the answer was whole.", ""),
    "ConnectionError": ("{there} hung up before the answer was whole.", ""),
    "TimeoutError": ("The whole call took longer than its deadline.", "Raise the timeout, or resume."),
}
# Vendors' own words for whatever went wrong below them: the cause inside says more.
_SHELLS = frozenset({"APIConnectionError", "APITimeoutError"})
# By exact class: the subclasses are about waiting and hanging up, and stand in the chain of any timeout over TLS.
_TLS_FAILURES = frozenset({"SSLError", "SSLCertVerificationError"})
_UNBILLED_STATUSES = frozenset({529})


def make_error(kind: type[E], reason: str, *, status: int | None = None, unbilled: bool = False, do: str = "") -> E:
    """An error of that class with its usual words, `do` in place of its usual advice; `reason` is redacted already."""
    what, usual = _ADVICE.get(kind, ("The model call failed.", ""))
    if kind is RequestRejectedError:
        usual = _REJECTED.get(status or 0, usual)
    error = kind(what, _ended(reason), do or usual, status=status)
    error.unbilled = unbilled
    return error


def _ended(reason: str) -> str:
    """A sentence of at most `REASON_CAP` characters, however the provider ends its own."""
    text = reason[: REASON_CAP - 1].rstrip()
    return text if not text or text.endswith((".", "!", "?", "…")) else f"{text}."


def unsupported(what: str, do: str) -> RequestRejectedError:
    """The error for an option or ability that the model does not have; nothing was sent."""
    error = RequestRejectedError(what, "Nothing was sent.", do)
    error.unbilled = True
    return error


def from_status(
    status: int,
    body: object,
    headers: Mapping[str, str] | None = None,
    *,
    secrets: Iterable[Secret] = (),
    now: float = 0.0,
    in_stream: bool = False,
) -> ProviderError:
    """The error for an HTTP answer that is no success; `now` (epoch seconds) is what a Retry-After date counts from.

    `in_stream` marks an error event after a 200: something may have been billed before it.
    """
    headers = headers or {}
    text = redact(_body_text(body), secrets)
    kind = _kind_by_code(status, body) or _kind_of(status, text)
    error = make_error(kind, f"HTTP {status}: {text}" if text else f"HTTP {status}", status=status)
    asked = retry_after(headers, now)
    error.retry_after = _retry_delay(body) if asked is None else asked
    error.unbilled = not in_stream and (status < 500 or status in _UNBILLED_STATUSES) and status // 100 != 2
    error.final = headers.get("x-should-retry", "").strip().lower() == "false"
    return error


def from_stream_error(error: object, *, secrets: Iterable[Secret] = ()) -> ProviderError:
    """The error for an OpenAI-compatible `error` inside a stream; 500 where neither code nor type tells its status."""
    named = [str(value) for value in _names_in(error)]
    told = (STATUS_OF_TYPE.get(name) or (int(name) if re.fullmatch("[45][0-9][0-9]", name) else None) for name in named)
    status = next((found for found in told if found), 500)
    return from_status(status, {"error": error}, secrets=secrets, in_stream=True)


def from_exception(exc: BaseException, *, secrets: Iterable[Secret] = ()) -> ProviderError:
    """The error for a vendor's or the transport's exception that carries no HTTP answer."""
    for cause in _causes(exc):
        if isinstance(cause, ProviderError):
            return cause
    kind, unbilled = _exception_kind(exc)
    why, do = _in_words(exc)
    return make_error(kind, redact(why, secrets), unbilled=unbilled, do=do)


def unsettled_charge(error: BaseException, reserved: int | None) -> int | None:
    """What a failed call may have cost: 0 where surely nothing was billed, else its whole reservation."""
    if isinstance(error, ProviderError):
        return 0 if error.unbilled else reserved
    return 0 if isinstance(error, OrchestratorError) else reserved


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds to wait by `retry-after-ms` or `Retry-After` (seconds or an HTTP date); None without a valid one."""
    millis = _number(headers.get("retry-after-ms", ""))
    if millis is not None:
        return max(0.0, millis / 1000)
    value = headers.get("retry-after", "").strip()
    seconds = _number(value)
    if seconds is not None:
        return max(0.0, seconds)
    try:
        moment = email.utils.parsedate_to_datetime(value)
    except (TypeError, ValueError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.UTC)
    return max(0.0, moment.timestamp() - now)


def _number(value: str) -> float | None:
    try:
        number = float(value)
    except ValueError:
        return None
    return number if 0 <= number < float("inf") else None


def _kind_of(status: int, text: str) -> type[ProviderError]:
    lowered = text.lower()
    if status in _QUOTA_STATUSES and any(word in lowered for word in _QUOTA_WORDS):
        return QuotaExhaustedError
    if status == 400 and any(word in lowered for word in _KEY_WORDS):
        return AuthenticationError
    return _BY_STATUS.get(status) or _BY_CLASS.get(status // 100, ProviderUnavailableError)


def _kind_by_code(status: int, body: object) -> type[ProviderError] | None:
    if status // 100 != 4:
        return None
    found = _decoded(body)
    inner = found.get("error", found) if isinstance(found, dict) else None
    return next((_BY_CODE[str(name)] for name in _names_in(inner) if str(name) in _BY_CODE), None)


def _names_in(error: object) -> list[object]:
    """An error's code and type, which vendors fill with whatever tells it best."""
    return [error.get(name) for name in ("code", "type")] if isinstance(error, dict) else []


def _exception_kind(exc: BaseException) -> tuple[type[ProviderError], bool]:
    chain = [{base.__name__ for base in type(cause).__mro__} for cause in _causes(exc)]
    is_tls = any(type(cause).__name__ in _TLS_FAILURES for cause in _causes(exc))
    if is_tls and any("ConnectError" in names for names in chain):
        return RequestRejectedError, True
    for names in chain:
        known = next((row for name, row in _BY_EXCEPTION.items() if name in names), None)
        if known is not None and not names & _SHELLS:
            return known
    return ProviderUnavailableError, False


def _causes(exc: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    current: BaseException | None = exc
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or current.__context__


def _in_words(exc: BaseException) -> tuple[str, str]:
    """Why it happened, in one sentence, and what to do (empty: the usual)."""
    chain = list(_causes(exc))
    names = {base.__name__ for cause in chain for base in type(cause).__mro__}
    for name, (why, do) in _IN_WORDS.items():
        if name in names:
            said = why.format(there=next(filter(None, map(_origin, chain)), "the server"))
            return said[:1].upper() + said[1:] if said.startswith("the ") else said, do
    text = next((text for text in (str(cause).strip() for cause in chain) if text), "")
    return f"{type(exc).__name__}: {text}" if text else f"{type(exc).__name__}.", ""


def _origin(exc: BaseException) -> str:
    """Where the request went that the transport could not bring home."""
    try:
        return origin_of(str(exc.request.url))  # type: ignore[attr-defined]
    except (AttributeError, RuntimeError, ValueError):
        return ""


def _body_text(body: object) -> str:
    """The message inside an error body, or the body itself; uncut, as half a key would escape the redactor."""
    body = _decoded(body)
    return " ".join(body.split()) if isinstance(body, str) else _message_in(body)


def _decoded(body: object) -> object:
    """The JSON value of a body, out of the list that some gateways put around it; a text that is no JSON as it is."""
    if isinstance(body, bytes):
        body = body.decode("utf-8", "replace")
    if isinstance(body, str):
        try:
            body = msgspec.json.decode(body)
        except (msgspec.DecodeError, ValueError, RecursionError):
            return body
    return body[0] if isinstance(body, list) and len(body) == 1 else body


def _details(body: object) -> list[dict[str, object]]:
    """Google's list of details, each an object that says one thing more."""
    inner = body.get("error", body) if isinstance(body, dict) else None
    details = inner.get("details") if isinstance(inner, dict) else None
    return [each for each in details if isinstance(each, dict)] if isinstance(details, list) else []


def _retry_delay(body: object) -> float | None:
    """Seconds by Google's `retryDelay`, which is written `34.07s`."""
    delays = (str(each.get("retryDelay", "")) for each in _details(_decoded(body)))
    return next((_number(delay[:-1]) for delay in delays if delay.endswith("s")), None)


def _message_in(body: object) -> str:
    if not isinstance(body, dict):
        return "" if body is None else str(body)
    inner = body.get("error", body)
    if not isinstance(inner, dict):
        return str(inner)
    reasons = [each.get("reason") for each in _details(body)]
    named = [inner.get("type"), inner.get("code"), inner.get("status"), *reasons]
    parts = [*named, inner.get("message") or inner.get("msg")]
    details = inner.get("details")
    if isinstance(details, dict):
        parts.append(details.get("error_code"))
    return ": ".join(str(part) for part in parts if part) or str(body)
