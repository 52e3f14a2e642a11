"""Every statement of the stores behind `core/accounts.py`, written once with `?` for both databases.

Those of the journal itself, and the one translation, are in `statements.py`.
"""

from __future__ import annotations

USER_COLUMNS = "user_id, name, role, created_at, disabled, models, daily_budget, monthly_budget, sees, agents"
INSERT_USER = f"INSERT INTO users ({USER_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"  # noqa: S608 - constants
SELECT_USERS = f"SELECT {USER_COLUMNS} FROM users"  # noqa: S608 - as above
SELECT_USER = f"SELECT {USER_COLUMNS} FROM users WHERE user_id = ?"  # noqa: S608 - as above
UPDATE_USER = (
    "UPDATE users SET role = ?, disabled = ?, models = ?, daily_budget = ?, monthly_budget = ?, sees = ?"
    " WHERE user_id = ?"
)
UPDATE_AGENTS = "UPDATE users SET agents = ? WHERE user_id = ? AND disabled = 0"

INSERT_TOKEN = (
    "INSERT INTO tokens"  # noqa: S105 - a statement
    " (token_hash, token_id, user_id, kind, label, last_four, created_at, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)
SELECT_BEARER = (
    f"SELECT {USER_COLUMNS} FROM users WHERE disabled = 0 AND user_id ="  # noqa: S608 - as above
    " (SELECT tokens.user_id FROM tokens WHERE token_hash = ? AND (expires_at IS NULL OR expires_at > ?))"
)
SELECT_TOKENS = "SELECT token_id, user_id, kind, label, last_four, created_at, expires_at FROM tokens WHERE user_id = ?"
DELETE_TOKEN = "DELETE FROM tokens WHERE user_id = ? AND token_id = ?"  # noqa: S105 - a statement
DELETE_TOKEN_BY_HASH = "DELETE FROM tokens WHERE token_hash = ?"  # noqa: S105 - a statement
SELECT_ANY_TOKEN = "SELECT 1 FROM tokens WHERE kind = 'token' LIMIT 1"  # noqa: S105 - a statement

CREDENTIAL_COLUMNS = (
    "credential_id, user_id, provider, base_url, default_model, label, kind, last_four, fingerprint, created_at,"
    " state, why"
)
INSERT_CREDENTIAL = (
    f"INSERT INTO credentials ({CREDENTIAL_COLUMNS}, sealed)"  # noqa: S608 - as above
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
REPLACE_CREDENTIAL = (
    "UPDATE credentials SET state = 'revoked', why = ?, sealed = ?"
    " WHERE user_id = ? AND provider = ? AND state <> 'revoked'"
)
SELECT_CREDENTIALS = f"SELECT {CREDENTIAL_COLUMNS} FROM credentials WHERE user_id = ? AND state <> 'revoked'"  # noqa: S608 - as above
SELECT_CREDENTIAL = f"SELECT {CREDENTIAL_COLUMNS}, sealed FROM credentials WHERE user_id = ? AND credential_id = ?"  # noqa: S608 - as above
MARK_CREDENTIAL = (
    "UPDATE credentials SET state = ?, why = ? WHERE user_id = ? AND credential_id = ? AND state <> 'revoked'"
)
REVOKE_CREDENTIAL = (
    "UPDATE credentials SET state = 'revoked', why = ?, sealed = ?"
    " WHERE user_id = ? AND credential_id = ? AND state <> 'revoked'"
)

INSERT_DATA_KEY = "INSERT INTO data_keys (user_id, master_id, wrapped) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
SELECT_DATA_KEY = "SELECT user_id, master_id, wrapped FROM data_keys WHERE user_id = ?"
SELECT_DATA_KEYS = "SELECT user_id, master_id, wrapped FROM data_keys"
REWRAP_DATA_KEY = "UPDATE data_keys SET master_id = ?, wrapped = ? WHERE user_id = ? AND master_id = ?"

PROJECT_COLUMNS = "project_id, project_no, owner_id, name, request, created_at, summary"
LISTED_COLUMNS = "project_id, project_no, owner_id, name, summary, created_at, summary"
INSERT_PROJECT = (
    "INSERT INTO projects (project_id, owner_id, name, request, created_at, summary) VALUES (?, ?, ?, ?, ?, ?)"
    " RETURNING project_no"
)
SELECT_PROJECT = f"SELECT {PROJECT_COLUMNS} FROM projects WHERE owner_id = ? AND project_id = ? AND deleted_at IS NULL"  # noqa: S608 - as above
SELECT_PROJECTS = (
    f"SELECT {LISTED_COLUMNS} FROM projects WHERE owner_id = ? AND deleted_at IS NULL"  # noqa: S608 - as above
    " AND project_no < ? ORDER BY project_no DESC LIMIT ?"
)
DROP_PROJECT = "UPDATE projects SET deleted_at = ? WHERE owner_id = ? AND project_id = ? AND deleted_at IS NULL"

INSERT_REPLY = "INSERT INTO replies (owner_id, key, request_hash, subject) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING"
REPLACE_REPLY = (
    "INSERT INTO replies (owner_id, key, request_hash, subject) VALUES (?, ?, ?, ?)"
    " ON CONFLICT (owner_id, key) DO UPDATE SET request_hash = excluded.request_hash, subject = excluded.subject"
)
SELECT_REPLY = "SELECT request_hash, subject FROM replies WHERE owner_id = ? AND key = ?"

SELECT_SPENDING = "SELECT spent, unpriced FROM spending WHERE owner_id = ? AND period = ?"
ADD_SPENDING = (
    "INSERT INTO spending (owner_id, period, spent, unpriced) VALUES (?, ?, ?, ?)"
    " ON CONFLICT (owner_id, period) DO UPDATE"
    " SET spent = spending.spent + excluded.spent, unpriced = spending.unpriced + excluded.unpriced"
)

# The days since the epoch. A cast rounds down on SQLite and to the nearest on PostgreSQL: this is down on both.
_SECOND = "(CAST(at AS BIGINT) - CASE WHEN CAST(at AS BIGINT) > at THEN 1 ELSE 0 END)"
SELECT_USAGE = (
    "SELECT day, provider, model, project_id, COUNT(*),"  # noqa: S608 - as above
    " CAST(SUM(input_tokens) AS BIGINT), CAST(SUM(output_tokens) AS BIGINT),"
    " CASE WHEN COUNT(cost) < COUNT(*) THEN NULL ELSE CAST(SUM(cost) AS BIGINT) END"
    f" FROM (SELECT {_SECOND} / 86400 AS day, provider, model, project_id, input_tokens, output_tokens,"
    " COALESCE(charged, reserved) AS cost FROM runs JOIN model_calls ON model_calls.run_no = runs.run_no"
    " WHERE owner_id = ? AND at >= ? AND provider <> ? AND (outcome IN ('done', 'outcome_unknown', 'submitted')"
    " OR (outcome = 'failed' AND (charged IS NULL OR charged > 0)))) AS used"
    " GROUP BY day, provider, model, project_id"
)
