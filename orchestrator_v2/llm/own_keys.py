"""Which environment variables a user's own row may have sent to its server: data, and the one check of it.

The rows themselves are `own_rows.py`; where the values are found is `auth.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from orchestrator_v2.llm.auth import SEARCH_VARIABLES
from orchestrator_v2.llm.catalog import Catalog, ProviderRow

_NAME = re.compile(r"[A-Z][A-Z0-9_]*(?:_API_KEY|_KEY|_TOKEN)")
_LENGTH = 100
_FORM = "it is of capital letters, digits and '_', and ends in _API_KEY, _KEY or _TOKEN"

# What opens accounts that have nothing to do with models: code, packages, clouds, databases, machines, money, mail.
# A file that names such a variable is a mistake or worse, whatever it says that it is for.
DENIED_PREFIXES = (
    *("ORCHESTRATOR_", "AWS_", "AZURE_", "GCP_", "GOOGLE_", "GCLOUD_", "ALIBABA_", "ALICLOUD_", "OCI_", "IBM_"),
    *("GITHUB_", "GH_", "GITLAB_", "GITEA_", "BITBUCKET_", "GIT_", "CI_", "ACTIONS_", "CIRCLE", "TRAVIS_", "JENKINS_"),
    *("BUILDKITE_", "DRONE_", "RUNNER_", "CODECOV_", "SONAR_", "ATLASSIAN_", "JIRA_", "CONFLUENCE_", "LINEAR_"),
    *(
        "NPM_",
        "NODE_AUTH_",
        "YARN_",
        "PYPI_",
        "TWINE_",
        "UV_",
        "POETRY_",
        "FLIT_",
        "HATCH_",
        "CARGO_",
        "GEM_",
        "NUGET_",
    ),
    *(
        "MAVEN_",
        "GRADLE_",
        "HOMEBREW_",
        "CONDA_",
        "ANACONDA_",
        "DOCKER",
        "KUBE",
        "HELM_",
        "TF_",
        "TERRAFORM_",
        "PULUMI_",
    ),
    *(
        "VAULT_",
        "CONSUL_",
        "NOMAD_",
        "OP_",
        "BW_",
        "BITWARDEN_",
        "LASTPASS_",
        "INFISICAL_",
        "DOPPLER_",
        "SOPS_",
        "AGE_",
    ),
    *("SSH_", "GPG_", "PGP_", "SIGNING_", "TLS_", "SSL_", "JWT_", "SESSION_", "SECRET_", "PRIVATE_", "ENCRYPTION_"),
    *(
        "MASTER_",
        "ADMIN_",
        "ROOT_",
        "LDAP_",
        "KRB",
        "OAUTH_",
        "AUTH0_",
        "OKTA_",
        "DJANGO_",
        "FLASK_",
        "RAILS_",
        "LARAVEL_",
    ),
    *("DATABASE_", "DB_", "PG", "POSTGRES", "MYSQL_", "MARIADB_", "MONGO", "REDIS_", "SQL_", "SUPABASE_", "FIREBASE_"),
    *(
        "SNOWFLAKE_",
        "DATABRICKS_",
        "ELASTIC_",
        "KAFKA_",
        "RABBITMQ_",
        "HEROKU_",
        "VERCEL_",
        "NETLIFY_",
        "FLY_",
        "RENDER_",
    ),
    *("RAILWAY_", "CLOUDFLARE_", "CF_", "DIGITALOCEAN_", "DO_", "HCLOUD_", "HETZNER_", "LINODE_", "VULTR_", "OVH_"),
    *("FASTLY_", "STRIPE_", "PAYPAL_", "SQUARE_", "PLAID_", "COINBASE_", "BINANCE_", "WALLET_", "SHOPIFY_"),
    *("TWILIO_", "SENDGRID_", "MAILGUN_", "POSTMARK_", "SMTP_", "MAIL_", "SLACK_", "DISCORD_", "TELEGRAM_", "TWITTER_"),
    *(
        "FACEBOOK_",
        "LINKEDIN_",
        "NOTION_",
        "DROPBOX_",
        "SENTRY_",
        "DATADOG_",
        "DD_",
        "NEW_RELIC_",
        "GRAFANA_",
        "PAGERDUTY_",
    ),
    *("SPLUNK_", "HONEYCOMB_", "WANDB_", "KAGGLE_", "CODESPACES_", "VSCODE_", "TAILSCALE_", "NGROK_"),
)


def wrong_variable(provider: str, variables: Iterable[str], packaged: Catalog) -> str:
    """What is wrong with the first variable that `provider`'s row may not name; empty where all may be named.

    The words never hold what was written: it may be the key itself.
    """
    row = packaged.get(provider, ProviderRow())
    own = {*row.keys, *row.oauth_keys}
    for place, variable in enumerate(variables, 1):
        if variable in own:
            continue
        if len(variable) > _LENGTH or not _NAME.fullmatch(variable):
            return f"entry {place} is no name of a variable that can hold a key: {_FORM}"
        owner = _owner(variable, provider, packaged)
        if owner:
            return f"entry {place} is a variable of {owner}, whose key goes nowhere else"
        if variable.startswith(DENIED_PREFIXES):
            return f"entry {place} is named like a secret that is for no model; give the key a variable of its own"
    return ""


def _owner(variable: str, provider: str, packaged: Catalog) -> str:
    """Whose variable that is, by its first word: another packaged provider's, or a search engine's."""
    if variable in SEARCH_VARIABLES:
        return "a search engine"
    others = ((name, row) for name, row in packaged.items() if name != provider)
    return next((name for name, row in others if variable.startswith(_prefixes(name, row))), "")


def _prefixes(name: str, row: ProviderRow) -> tuple[str, ...]:
    return (f"{name.upper()}_", *(f"{variable.partition('_')[0]}_" for variable in (*row.keys, *row.oauth_keys)))
