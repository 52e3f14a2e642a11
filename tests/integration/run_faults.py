"""What a provider can answer to a real run, how often such a call is sent, and how the run stops.

Which fault is which error, on every wire, is `tests/contracts/provider_faults.py`; what no HTTP server does when asked,
such as a reset in the middle of a chunk, is `tests/chaos/raw_faults.py`.
"""

from __future__ import annotations

import msgspec
from real_mode import KEY

from orchestrator_v2.testing.fake_anthropic import Reply


class Fault(msgspec.Struct, frozen=True):
    """A reply that spoils every call of the second phase, how often such a call is sent, and how the run stops.

    `tries` counts the sendings of one call with its corrective or longer twin; `code` is the error's.
    """

    reply: Reply
    tries: int
    status: str
    code: str


HTML = Reply(body=b"<html><body>gateway</body></html>", headers={"content-type": "text/html"})
# One of each kind.
FAULTS = {
    "429 for ten minutes": Fault(
        Reply(status=429, headers={"retry-after": "600"}), 1, "waiting_provider", "rate_limited"
    ),
    "429 with a date": Fault(
        Reply(status=429, headers={"retry-after": "Wed, 21 Oct 2099 07:28:00 GMT"}),
        1,
        "waiting_provider",
        "rate_limited",
    ),
    "429 for ever": Fault(Reply(status=429), 3, "waiting_provider", "rate_limited"),
    "429 spend limit": Fault(
        Reply(status=429, message="You have reached your spend limit."), 1, "needs_attention", "quota_exhausted"
    ),
    "401 that echoes the key": Fault(
        Reply(status=401, message=f"invalid x-api-key {KEY}"), 1, "needs_credential", "authentication"
    ),
    "400": Fault(Reply(status=400), 1, "failed", "request_rejected"),
    "500": Fault(Reply(status=500), 3, "waiting_provider", "provider_unavailable"),
    "connection reset": Fault(Reply(reset=True), 3, "waiting_provider", "provider_unavailable"),
    "HTML": Fault(HTML, 2, "waiting_provider", "bad_gateway_content"),
    "broken stream": Fault(Reply("x" * 400, cut_at=900), 3, "waiting_provider", "stream_truncated"),
    "no stop reason": Fault(Reply('{"summary":', stop_reason=None), 3, "waiting_provider", "stream_truncated"),
    "max_tokens": Fault(Reply('{"summary": "cut', stop_reason="max_tokens"), 2, "failed", "output_truncated"),
    "refusal": Fault(Reply("I cannot do that.", stop_reason="refusal"), 1, "needs_attention", "refusal"),
    "no JSON, twice": Fault(Reply("Certainly! I have done it."), 2, "failed", "invalid_output"),
    "wrong schema, twice": Fault(Reply('{"success": true}'), 2, "failed", "invalid_output"),
    "empty answer": Fault(Reply("  \n", usage={"input_tokens": 9, "output_tokens": 1}), 2, "failed", "empty_output"),
}
