"""Who uses a server and what is theirs: users, tokens, credentials, projects, as values and as the stores' seams.

The stores are in `persistence` (SQLite, PostgreSQL, memory); sealing and opening a credential is `credentials`.
"""

from __future__ import annotations

from typing import Literal, Protocol

import msgspec

from orchestrator_v2.core.secrets import Secret

Role = Literal["admin", "developer", "viewer"]
TokenKind = Literal["token", "session"]
CredentialState = Literal["ok", "invalid", "revoked"]

# The one user of a server without accounts: whoever sits at the machine.
LOCAL = "local"
# Where what typed operations cost is booked: they belong to no project.
OPERATIONS = "operations"


class User(msgspec.Struct, frozen=True):
    """`models` are patterns such as `anthropic/*` (empty: all); budgets are nano-dollars a UTC day or month.

    `sees` is the owner whose projects a viewer looks at; empty: one's own. `agents` maps an agent to the model
    (`provider/model`) that the user's projects give it unless they say otherwise.
    """

    user_id: str
    name: str
    role: Role
    created_at: float
    disabled: bool = False
    models: tuple[str, ...] = ()
    daily_budget: int | None = None
    monthly_budget: int | None = None
    sees: str = ""
    agents: dict[str, str] = {}

    @property
    def scope(self) -> str:
        """The owner that every query of this user names."""
        return self.sees or self.user_id


class Token(msgspec.Struct, frozen=True):
    """A bearer token or a page's session, known by its hash only; `expires_at` None: never."""

    token_id: str
    user_id: str
    kind: TokenKind
    label: str
    last_four: str
    created_at: float
    expires_at: float | None = None


class Credential(msgspec.Struct, frozen=True):
    """A user's key for one provider at one address, as it may be shown. `why` says what made it invalid.

    `base_url` is empty for the provider's own server; key and address are bound to each other for good.
    """

    credential_id: str
    user_id: str
    provider: str
    base_url: str
    default_model: str
    label: str
    kind: str
    last_four: str
    fingerprint: str
    created_at: float
    state: CredentialState = "ok"
    why: str = ""


class DataKey(msgspec.Struct, frozen=True):
    """A user's own key, wrapped by the master key whose id is `master_id`."""

    user_id: str
    master_id: str
    wrapped: bytes


class ProjectRow(msgspec.Struct, frozen=True):
    """What a user wants built. `request` is the JSON of the wish, from which each of its runs is started.

    `project_no` is the store's own count, for paging; `summary` is the same JSON, short, as lists show it.
    """

    project_id: str
    project_no: int
    owner_id: str
    name: str
    request: bytes
    created_at: float
    summary: bytes = b""


class Reply(msgspec.Struct, frozen=True):
    """What was answered to a request that bore an idempotency key; `subject` is the id of what it made."""

    request_hash: str
    subject: str


class UsageLine(msgspec.Struct, frozen=True):
    """What one model cost one project on one UTC day. `cost` is in nano-dollars, charged or reserved; None: unknown."""

    day: str
    provider: str
    model: str
    project_id: str
    calls: int
    input_tokens: int
    output_tokens: int
    cost: int | None


class Ceilings(msgspec.Struct, frozen=True):
    """What an owner may spend in nano-dollars; None: no ceiling. Held over all runs of the owner at once."""

    owner_id: str
    daily: int | None = None
    monthly: int | None = None


class Accounts(Protocol):
    """Users and their tokens. Every method raises `StoreError` classes only."""

    async def add_user(self, user: User) -> bool:
        """False, and nothing written, where the id or the name is taken."""
        ...

    async def users(self) -> list[User]:
        """All of them, oldest first."""
        ...

    async def user(self, user_id: str) -> User | None: ...

    async def set_user(self, user: User) -> bool:
        """Replaces role, disabled, models, budgets and sees of the user with that id; False where there is none."""
        ...

    async def set_agents(self, user_id: str, agents: dict[str, str]) -> bool:
        """Replaces the agents' models and nothing else, so that it undoes nothing that an administrator did meanwhile;
        False where there is no such user, or a disabled one."""
        ...

    async def add_token(self, token: Token, token_hash: str) -> None: ...

    async def bearer(self, token_hash: str, now: float) -> User | None:
        """The user who bears that token or session; None for one that is unknown or expired, or whose user is
        disabled."""
        ...

    async def tokens(self, user_id: str) -> list[Token]:
        """Bearer tokens and sessions, oldest first."""
        ...

    async def drop_token(self, user_id: str, token_id: str) -> bool: ...

    async def drop_token_by_hash(self, token_hash: str) -> bool:
        """For a session that is left."""
        ...

    async def any_tokens(self) -> bool:
        """Whether anybody has a bearer token: from then on nobody is let in without one."""
        ...


class CredentialStore(Protocol):
    """Sealed keys. At most one that is not revoked for each (user, provider)."""

    async def put(self, credential: Credential, sealed: bytes) -> None:
        """Adds it, and revokes the user's earlier one of that provider, in one transaction."""
        ...

    async def of_user(self, user_id: str) -> list[Credential]:
        """Those not revoked, by provider's name."""
        ...

    async def find(self, user_id: str, credential_id: str) -> tuple[Credential, bytes] | None:
        """Also a revoked one, whose sealed bytes are empty."""
        ...

    async def mark(self, user_id: str, credential_id: str, state: CredentialState, why: str) -> bool:
        """`revoked` also empties the sealed bytes, and is final: no other state follows it (False)."""
        ...

    async def data_key(self, user_id: str) -> DataKey | None: ...

    async def add_data_key(self, key: DataKey) -> DataKey:
        """The user's data key: this one, or the one that somebody added before."""
        ...

    async def data_keys(self) -> list[DataKey]: ...

    async def rewrap(self, key: DataKey, *, was: str) -> bool:
        """Puts another wrapping in the place of the one by the master `was`; False where it is not that any more."""
        ...


class Keyring(Protocol):
    """Users' own keys, sealed at rest; only `open` gives one back, and only to its owner's runs."""

    async def put(
        self,
        user_id: str,
        provider: str,
        secret: Secret,
        *,
        base_url: str = "",
        default_model: str = "",
        label: str = "",
    ) -> Credential:
        """Seals and keeps the key in the place of the user's earlier one of that provider."""
        ...

    async def of_user(self, user_id: str) -> list[Credential]:
        """Those not revoked, by provider's name, invalid ones included."""
        ...

    async def usable(self, user_id: str, provider: str) -> Credential | None:
        """The user's key of that provider, if it is there and has not been refused."""
        ...

    async def check(self, user_id: str, credential_id: str) -> Credential:
        """Raises `CredentialMissingError` where the key is gone, revoked or refused; opens nothing."""
        ...

    async def open(self, user_id: str, credential_id: str) -> Secret:
        """Raises `CredentialMissingError` as `check` does, `CredentialSealError` where the seal does not open."""
        ...

    async def refused(self, user_id: str, credential_id: str, why: str) -> None:
        """The provider refused the key: it is not used again until the user gives another."""
        ...

    async def revoke(self, user_id: str, provider: str) -> bool:
        """Forgets the key; False where there is none."""
        ...

    async def check_master(self) -> None:
        """Raises `CredentialSealError` where keys are stored and the master key that they need is not there."""
        ...

    async def rotate(self) -> int:
        """Wraps every user's data key under a new master key; gives how many. Begun anew after a crash, it ends."""
        ...


class Projects(Protocol):
    """Projects by owner: every method but `add` names the owner in its query."""

    async def add(self, row: ProjectRow, *, key: str = "", request_hash: str = "") -> ProjectRow:
        """Records it (row.project_no is ignored) and, with a `key`, the reply to it, in one transaction.

        Where the owner has used that key before, nothing is written and `StoreError` is raised: look at `reply`.
        """
        ...

    async def get(self, owner_id: str, project_id: str) -> ProjectRow | None: ...

    async def page(self, owner_id: str, *, before: int | None = None, limit: int = 50) -> list[ProjectRow]:
        """Newest first, with the summary in the request's place; `before` is the project_no of the last row of the page
        before."""
        ...

    async def drop(self, owner_id: str, project_id: str) -> bool:
        """Hides the project from every other method; its runs stay, as what they cost was spent."""
        ...

    async def reply(self, owner_id: str, key: str) -> Reply | None: ...

    async def remember(self, owner_id: str, key: str, reply: Reply, *, replace: bool = False) -> bool:
        """Keeps the reply to a request; False where the owner has used that key before and it is not to `replace`."""
        ...


class UsageBook(Protocol):
    """What was used, read off the ledger of model calls."""

    async def lines(self, owner_id: str, *, since: float) -> list[UsageLine]:
        """By day, provider, model and project, newest day first; `since` is in epoch seconds."""
        ...
