"""A process that is asked to end in the middle of a real run: no further call is paid for, and none is paid again."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from real_mode import BRIEF, SHORT, against, opened

from orchestrator_v2 import Orchestrator, RunRequest
from orchestrator_v2.engine.state_models import RunStatus


def test_no_call_is_begun_after_the_process_was_asked_to_end(tmp_path: Path) -> None:
    """The call under way is answered and kept; the next is not sent. Taken up again, the run makes each of the rest."""

    async def work(orchestrator: Orchestrator, server: Any) -> None:
        session = await orchestrator.start(RunRequest(brief=BRIEF, workflow=SHORT))
        run_id = session.state.run_id
        driving = asyncio.create_task(orchestrator.drive(session))
        while not server.requests:  # noqa: ASYNC110 - it is the server that tells
            await asyncio.sleep(0.001)
        orchestrator.stop()
        state = await driving
        sent = len(server.requests)
        assert state.status is RunStatus.RUNNING
        assert sent < 4
        async with opened(tmp_path, server) as after:
            assert (await after.resume(run_id)).status is RunStatus.COMPLETED
            calls = await after.calls(run_id)
        assert len(server.requests) == 4
        assert [call.outcome for call in calls] == ["done"] * 4
        assert len({call.key for call in calls}) == 4

    against(tmp_path, work)
