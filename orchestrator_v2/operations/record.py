"""What is kept of a request in the run that answers it: the brief of that run, as canonical JSON.

The answer's way back from a run's events is `reading.py`.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import msgspec

from orchestrator_v2.operations.types import LLMRequest

# What changes neither the answer nor the model: two requests that differ in these alone are one.
_BESIDE = {"idempotency_key", "timeout_ms", "cache_policy", "metadata", "budget_usd"}


class OperationRecord(msgspec.Struct, frozen=True):
    """`request` is the request but for its idempotency key, `routing` why its model was chosen, `cache_key` what an
    equal one would have (empty: not to be given again)."""

    request: dict[str, Any]
    routing: dict[str, Any] = {}
    cache_key: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def asked(self) -> LLMRequest:
        return LLMRequest.model_validate(self.request)


def encode_record(record: OperationRecord) -> str:
    return msgspec.json.encode(record, order="sorted").decode()


def decode_record(brief: bytes) -> OperationRecord:
    return msgspec.json.decode(brief, type=OperationRecord)


def request_digest(request: LLMRequest) -> str:
    """SHA-256 in hex over what the request asks; equal for two that mean the same."""
    return _digest(request.model_dump(mode="json", exclude=_BESIDE))


def cache_digest(request: LLMRequest, *, version: str, task: str, backing: list[str]) -> str:
    """SHA-256 in hex over what an answer depends on: what is asked, of whom, in which words and shape.

    `version` is of the operation, with its agents, prompts and schemas; `task` is its task as it is put for this data.
    """
    asked = request.model_dump(mode="json", include={"feature", "operation", "data", "mode", "sampling"})
    return _digest([asked, version, task, backing])


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
