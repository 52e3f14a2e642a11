"""`Service`: all that a server's faces ask, in one value; made by `server_bootstrap.py`, closed by whoever opened it.

Each part is its own file: projects, runs, accounts, credentials; the keeper drives, the changes tell.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

import msgspec

from orchestrator_v2.config.settings import Settings
from orchestrator_v2.core.accounts import Keyring
from orchestrator_v2.core.clock import Clock
from orchestrator_v2.core.ids import IdSource
from orchestrator_v2.core.secrets import Secret
from orchestrator_v2.engine.phase_graph import PhaseGraph
from orchestrator_v2.orchestrator import Orchestrator
from orchestrator_v2.service.accounts import AccountService
from orchestrator_v2.service.changes import Changes
from orchestrator_v2.service.credentials import CredentialService
from orchestrator_v2.service.keeper import Keeper
from orchestrator_v2.service.operations import OperationService
from orchestrator_v2.service.projects import ProjectService
from orchestrator_v2.service.runs import RunService


class Service(msgspec.Struct, frozen=True):
    """`workflows` are the built-in graphs by name; `secrets` the live keys that no log line may hold.

    `occupy` takes the database for this server, where it bears one only.
    """

    settings: Settings
    orchestrator: Orchestrator
    projects: ProjectService
    runs: RunService
    operations: OperationService
    accounts: AccountService
    credentials: CredentialService
    keeper: Keeper
    changes: Changes
    workflows: Mapping[str, PhaseGraph]
    keyring: Keyring
    clock: Clock
    ids: IdSource
    occupy: Callable[[], Awaitable[None]]
    secrets: Sequence[Secret] = ()

    async def check_start(self) -> None:
        """Raises what `start` raises; for whoever wants to hear it before anything listens."""
        await self.occupy()
        await self.keyring.check_master()

    async def start(self) -> None:
        """Whoever sits at the machine has an account, and runs that were left go on.

        Raises `CredentialSealError` where keys are stored and the master key that they need is not there,
        `StoreInUseError` where another server works on the database and it bears one only.
        """
        await self.check_start()
        await self.accounts.local()
        self.keeper.start()

    async def ready(self) -> None:
        """Raises `StoreError` where the database does not answer, `DriverUnavailableError` where Temporal does not."""
        await self.orchestrator.rows(limit=1)
        await self.keeper.check()

    async def close(self) -> None:
        """Drains what is under way (30 s at most), ends every stream, gives everything back."""
        await self.keeper.stop()
        await self.changes.close()
        await self.orchestrator.aclose()
