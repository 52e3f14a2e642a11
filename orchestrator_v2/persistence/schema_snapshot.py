"""The newest schema, ready to execute: what `alembic upgrade head` makes, without importing it.

It is `tables.ddl()` written down; a test holds the two, and the migrations, equal.
"""

from __future__ import annotations

from types import MappingProxyType

STAMP = (
    """\
CREATE TABLE alembic_version (
    version_num VARCHAR(32) NOT NULL,
    CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
)""",
)

_SQLITE = (
    """\
CREATE TABLE blobs (
    hash TEXT NOT NULL,
    content BLOB NOT NULL,
    PRIMARY KEY (hash)
)""",
    """\
CREATE TABLE credentials (
    credential_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    provider TEXT NOT NULL,
    base_url TEXT NOT NULL,
    default_model TEXT NOT NULL,
    label TEXT NOT NULL,
    kind TEXT NOT NULL,
    last_four TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    created_at DOUBLE NOT NULL,
    state TEXT NOT NULL,
    why TEXT NOT NULL,
    sealed BLOB NOT NULL,
    PRIMARY KEY (credential_id)
)""",
    "CREATE UNIQUE INDEX credentials_live ON credentials (user_id, provider) WHERE state <> 'revoked'",
    """\
CREATE TABLE data_keys (
    user_id TEXT NOT NULL,
    master_id TEXT NOT NULL,
    wrapped BLOB NOT NULL,
    PRIMARY KEY (user_id)
)""",
    """\
CREATE TABLE events (
    id INTEGER NOT NULL,
    at DOUBLE NOT NULL,
    type TEXT NOT NULL,
    payload BLOB NOT NULL,
    PRIMARY KEY (id)
)""",
    """\
CREATE TABLE lanes (
    lane TEXT NOT NULL,
    at DOUBLE NOT NULL,
    until DOUBLE NOT NULL,
    state BLOB NOT NULL,
    PRIMARY KEY (lane)
)""",
    """\
CREATE TABLE projects (
    project_no INTEGER NOT NULL,
    project_id TEXT NOT NULL,
    owner_id TEXT NOT NULL,
    name TEXT NOT NULL,
    request BLOB NOT NULL,
    created_at DOUBLE NOT NULL,
    summary BLOB NOT NULL,
    deleted_at DOUBLE,
    PRIMARY KEY (project_no),
    UNIQUE (project_id)
)""",
    "CREATE INDEX projects_by_owner ON projects (owner_id, project_no) WHERE deleted_at IS NULL",
    """\
CREATE TABLE replies (
    owner_id TEXT NOT NULL,
    "key" TEXT NOT NULL,
    request_hash TEXT NOT NULL,
    subject TEXT NOT NULL,
    PRIMARY KEY (owner_id, "key")
)""",
    """\
CREATE TABLE runs (
    run_no INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    run_id TEXT NOT NULL,
    project_id TEXT NOT NULL,
    owner_id TEXT NOT NULL,
    name TEXT NOT NULL,
    workflow TEXT NOT NULL,
    mode TEXT NOT NULL,
    status TEXT NOT NULL,
    stopped TEXT NOT NULL,
    resume_at DOUBLE,
    out TEXT NOT NULL,
    forked_from TEXT NOT NULL,
    epoch BIGINT NOT NULL,
    lease_owner TEXT NOT NULL,
    lease_until DOUBLE NOT NULL,
    spent BIGINT NOT NULL,
    unpriced BIGINT NOT NULL,
    created_at DOUBLE NOT NULL,
    updated_at DOUBLE NOT NULL,
    operation TEXT DEFAULT '' NOT NULL,
    UNIQUE (run_id)
)""",
    "CREATE INDEX operations_by_owner ON runs (owner_id, run_no) WHERE operation <> ''",
    "CREATE INDEX runs_by_owner ON runs (owner_id, run_no) WHERE operation = ''",
    "CREATE INDEX runs_by_project ON runs (project_id, run_no)",
    "CREATE INDEX runs_under_way ON runs (run_no) WHERE status IN ('running', 'waiting_provider')",
    """\
CREATE TABLE spending (
    owner_id TEXT NOT NULL,
    period TEXT NOT NULL,
    spent BIGINT NOT NULL,
    unpriced BIGINT NOT NULL,
    PRIMARY KEY (owner_id, period)
)""",
    """\
CREATE TABLE users (
    user_id TEXT NOT NULL,
    name TEXT NOT NULL,
    role TEXT NOT NULL,
    created_at DOUBLE NOT NULL,
    disabled INTEGER NOT NULL,
    models TEXT NOT NULL,
    daily_budget BIGINT,
    monthly_budget BIGINT,
    sees TEXT NOT NULL,
    agents TEXT NOT NULL,
    PRIMARY KEY (user_id),
    UNIQUE (name)
)""",
    """\
CREATE TABLE model_calls (
    id INTEGER NOT NULL,
    run_no INTEGER NOT NULL,
    "key" TEXT NOT NULL,
    attempt BIGINT NOT NULL,
    request_hash TEXT NOT NULL,
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    outcome TEXT NOT NULL,
    reserved BIGINT,
    charged BIGINT,
    error TEXT NOT NULL,
    at DOUBLE NOT NULL,
    epoch BIGINT NOT NULL,
    completion BLOB,
    input_tokens BIGINT DEFAULT 0 NOT NULL,
    output_tokens BIGINT DEFAULT 0 NOT NULL,
    PRIMARY KEY (id),
    UNIQUE (run_no, "key", attempt),
    FOREIGN KEY(run_no) REFERENCES runs (run_no)
)""",
    (
        "CREATE INDEX model_calls_used ON model_calls "
        "(run_no, at, outcome, provider, model, charged, reserved, input_tokens, output_tokens)"
    ),
    """\
CREATE TABLE signals (
    id INTEGER NOT NULL,
    run_no INTEGER NOT NULL,
    kind TEXT NOT NULL,
    payload BLOB NOT NULL,
    at DOUBLE NOT NULL,
    consumed INTEGER NOT NULL,
    PRIMARY KEY (id),
    FOREIGN KEY(run_no) REFERENCES runs (run_no)
)""",
    "CREATE INDEX signals_waiting ON signals (run_no) WHERE consumed = 0",
    """\
CREATE TABLE tokens (
    token_hash TEXT NOT NULL,
    token_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    label TEXT NOT NULL,
    last_four TEXT NOT NULL,
    created_at DOUBLE NOT NULL,
    expires_at DOUBLE,
    PRIMARY KEY (token_hash),
    UNIQUE (token_id),
    FOREIGN KEY(user_id) REFERENCES users (user_id)
)""",
    "CREATE INDEX tokens_by_user ON tokens (user_id)",
    """\
CREATE TABLE batches (
    call_id INTEGER NOT NULL,
    handle TEXT NOT NULL,
    PRIMARY KEY (call_id),
    FOREIGN KEY(call_id) REFERENCES model_calls (id)
)""",
)

_POSTGRESQL = (
    """\
CREATE TABLE blobs (
    hash TEXT NOT NULL,
    content BYTEA NOT NULL,
    PRIMARY KEY (hash)
)""",
    """\
CREATE TABLE credentials (
    credential_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    provider TEXT NOT NULL,
    base_url TEXT NOT NULL,
    default_model TEXT NOT NULL,
    label TEXT NOT NULL,
    kind TEXT NOT NULL,
    last_four TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    created_at DOUBLE PRECISION NOT NULL,
    state TEXT NOT NULL,
    why TEXT NOT NULL,
    sealed BYTEA NOT NULL,
    PRIMARY KEY (credential_id)
)""",
    "CREATE UNIQUE INDEX credentials_live ON credentials (user_id, provider) WHERE state <> 'revoked'",
    """\
CREATE TABLE data_keys (
    user_id TEXT NOT NULL,
    master_id TEXT NOT NULL,
    wrapped BYTEA NOT NULL,
    PRIMARY KEY (user_id)
)""",
    """\
CREATE TABLE events (
    id BIGINT NOT NULL,
    at DOUBLE PRECISION NOT NULL,
    type TEXT NOT NULL,
    payload BYTEA NOT NULL,
    PRIMARY KEY (id)
)""",
    """\
CREATE TABLE lanes (
    lane TEXT NOT NULL,
    at DOUBLE PRECISION NOT NULL,
    until DOUBLE PRECISION NOT NULL,
    state BYTEA NOT NULL,
    PRIMARY KEY (lane)
)""",
    """\
CREATE TABLE projects (
    project_no BIGINT GENERATED BY DEFAULT AS IDENTITY,
    project_id TEXT NOT NULL,
    owner_id TEXT NOT NULL,
    name TEXT NOT NULL,
    request BYTEA NOT NULL,
    created_at DOUBLE PRECISION NOT NULL,
    summary BYTEA NOT NULL,
    deleted_at DOUBLE PRECISION,
    PRIMARY KEY (project_no),
    UNIQUE (project_id)
)""",
    "CREATE INDEX projects_by_owner ON projects (owner_id, project_no) WHERE deleted_at IS NULL",
    """\
CREATE TABLE replies (
    owner_id TEXT NOT NULL,
    key TEXT NOT NULL,
    request_hash TEXT NOT NULL,
    subject TEXT NOT NULL,
    PRIMARY KEY (owner_id, key)
)""",
    """\
CREATE TABLE runs (
    run_no BIGINT GENERATED BY DEFAULT AS IDENTITY,
    run_id TEXT NOT NULL,
    project_id TEXT NOT NULL,
    owner_id TEXT NOT NULL,
    name TEXT NOT NULL,
    workflow TEXT NOT NULL,
    mode TEXT NOT NULL,
    status TEXT NOT NULL,
    stopped TEXT NOT NULL,
    resume_at DOUBLE PRECISION,
    out TEXT NOT NULL,
    forked_from TEXT NOT NULL,
    epoch BIGINT NOT NULL,
    lease_owner TEXT NOT NULL,
    lease_until DOUBLE PRECISION NOT NULL,
    spent BIGINT NOT NULL,
    unpriced BIGINT NOT NULL,
    created_at DOUBLE PRECISION NOT NULL,
    updated_at DOUBLE PRECISION NOT NULL,
    operation TEXT DEFAULT '' NOT NULL,
    PRIMARY KEY (run_no),
    UNIQUE (run_id)
)""",
    "CREATE INDEX operations_by_owner ON runs (owner_id, run_no) WHERE operation <> ''",
    "CREATE INDEX runs_by_owner ON runs (owner_id, run_no) WHERE operation = ''",
    "CREATE INDEX runs_by_project ON runs (project_id, run_no)",
    "CREATE INDEX runs_under_way ON runs (run_no) WHERE status IN ('running', 'waiting_provider')",
    """\
CREATE TABLE spending (
    owner_id TEXT NOT NULL,
    period TEXT NOT NULL,
    spent BIGINT NOT NULL,
    unpriced BIGINT NOT NULL,
    PRIMARY KEY (owner_id, period)
)""",
    """\
CREATE TABLE users (
    user_id TEXT NOT NULL,
    name TEXT NOT NULL,
    role TEXT NOT NULL,
    created_at DOUBLE PRECISION NOT NULL,
    disabled INTEGER NOT NULL,
    models TEXT NOT NULL,
    daily_budget BIGINT,
    monthly_budget BIGINT,
    sees TEXT NOT NULL,
    agents TEXT NOT NULL,
    PRIMARY KEY (user_id),
    UNIQUE (name)
)""",
    """\
CREATE TABLE model_calls (
    id BIGINT GENERATED BY DEFAULT AS IDENTITY,
    run_no BIGINT NOT NULL,
    key TEXT NOT NULL,
    attempt BIGINT NOT NULL,
    request_hash TEXT NOT NULL,
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    outcome TEXT NOT NULL,
    reserved BIGINT,
    charged BIGINT,
    error TEXT NOT NULL,
    at DOUBLE PRECISION NOT NULL,
    epoch BIGINT NOT NULL,
    completion BYTEA,
    input_tokens BIGINT DEFAULT 0 NOT NULL,
    output_tokens BIGINT DEFAULT 0 NOT NULL,
    PRIMARY KEY (id),
    UNIQUE (run_no, key, attempt),
    FOREIGN KEY(run_no) REFERENCES runs (run_no)
)""",
    (
        "CREATE INDEX model_calls_used ON model_calls "
        "(run_no, at, outcome, provider, model, charged, reserved, input_tokens, output_tokens)"
    ),
    """\
CREATE TABLE signals (
    id BIGINT GENERATED BY DEFAULT AS IDENTITY,
    run_no BIGINT NOT NULL,
    kind TEXT NOT NULL,
    payload BYTEA NOT NULL,
    at DOUBLE PRECISION NOT NULL,
    consumed INTEGER NOT NULL,
    PRIMARY KEY (id),
    FOREIGN KEY(run_no) REFERENCES runs (run_no)
)""",
    "CREATE INDEX signals_waiting ON signals (run_no) WHERE consumed = 0",
    """\
CREATE TABLE tokens (
    token_hash TEXT NOT NULL,
    token_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    label TEXT NOT NULL,
    last_four TEXT NOT NULL,
    created_at DOUBLE PRECISION NOT NULL,
    expires_at DOUBLE PRECISION,
    PRIMARY KEY (token_hash),
    UNIQUE (token_id),
    FOREIGN KEY(user_id) REFERENCES users (user_id)
)""",
    "CREATE INDEX tokens_by_user ON tokens (user_id)",
    """\
CREATE TABLE batches (
    call_id BIGINT NOT NULL,
    handle TEXT NOT NULL,
    PRIMARY KEY (call_id),
    FOREIGN KEY(call_id) REFERENCES model_calls (id)
)""",
)

SNAPSHOT = MappingProxyType({"sqlite": _SQLITE, "postgresql": _POSTGRESQL})
