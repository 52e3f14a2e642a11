"""SIGTERM to a server while somebody waits for an operation: told at once what goes on, nothing paid for twice."""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from model_server import ModelServer

from orchestrator_v2.testing.anthropic_rules import Seen
from orchestrator_v2.testing.fake_anthropic import Reply

VIEW = json.dumps({"summary": "Seen.", "findings": [], "disagreements": []})
PILLARS = [{"name": "Swift", "description": "The player never waits."}]


def test_a_server_that_ends_tells_who_waits_and_the_same_key_goes_on(tmp_path: Path) -> None:
    """The calls in flight end and are kept, none is begun; the caller has 503 with the run's id. After the next start
    it is set aside, as nobody waits, and the same key goes on from there."""
    in_flight = threading.Event()

    def slow(seen: Seen) -> Reply:
        in_flight.set()
        return Reply(VIEW, silence=1.5)

    with ModelServer() as models, models.server(tmp_path) as server:
        models.fresh(slow)
        client = server.client()
        models.stored(client)
        body = {"data": {"pillars": PILLARS}, "mode": "agentic", "run_mode": "real"}
        with ThreadPoolExecutor(1) as waiting:
            asked = waiting.submit(client, "POST", "/operations/pillars.validate", body, Idempotency_Key="the-one")
            assert in_flight.wait(20)
            time.sleep(0.2)
            code, _ = server.terminate()
            answer = asked.result(timeout=40)
        assert code in (0, -15, 143)
        assert answer.status_code == 503, answer.text
        told = answer.json()
        assert told["code"] == "insufficient_resources" and "idempotency key" in told["do"]
        sent = len(models.fake.requests)

        def quick(seen: Seen) -> str:
            if "Several specialists" in seen.prompt:
                return VIEW
            return json.dumps(
                {
                    "pillars": [{"name": "Swift", "verdict": "pillar", "score": 90, "issues": []}],
                    "set_issues": [],
                    "score": 90,
                    "summary": "It holds.",
                }
            )

        models.answers = quick
        server.start()
        client = server.client()
        where = f"/operations/runs/{told['context']['run_id']}"
        end = time.monotonic() + 30
        while client.get(where)["metadata"]["status"] != "paused":
            # Nobody waits for it any more, so the keeper sets it aside and pays for nothing.
            assert time.monotonic() < end
            time.sleep(0.1)
        assert len(models.fake.requests) == sent
        found = client.post("/operations/pillars.validate", body, Idempotency_Key="the-one")
        assert found["metadata"]["run_id"] == told["context"]["run_id"]
        calls = found["metadata"]["usage"]["calls"]
        assert 1 <= sent < calls
        assert len(models.fake.requests) == calls, "a call was paid for twice"
