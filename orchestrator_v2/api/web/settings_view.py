"""A user's settings as a page: keys by provider, models of agents, ceilings, tokens. No key is ever in here.

How keys are stored and tested is the service's business.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from orchestrator_v2.api.web import links
from orchestrator_v2.api.web.new_view import AgentChoice, agent_choices
from orchestrator_v2.api.web.text import slug
from orchestrator_v2.api.web.words import KEY, Look
from orchestrator_v2.core.accounts import Credential, Token, UsageLine, User
from orchestrator_v2.core.text import duration, one_line
from orchestrator_v2.core.usage import usd
from orchestrator_v2.llm.manager import ProviderView, TrialResult

_NO_KEY = Look("○", "quiet", "no key")


class KeyLine(msgspec.Struct, frozen=True):
    """A provider, and the user's key for it where there is one."""

    provider: str
    anchor: str
    look: Look
    has_key: bool
    last_four: str
    fingerprint: str
    label: str
    base_url: str
    default_model: str
    added_at: float | None
    why: str
    missing: str
    test: str
    remove: str


class Trial(msgspec.Struct, frozen=True):
    """How a tested key did."""

    provider: str
    works: bool
    words: str
    facts: str


class Ceiling(msgspec.Struct, frozen=True):
    """A budget of a UTC day or month; `percent` is 0 to 100."""

    name: str
    spent: str
    limit: str
    percent: float
    tone: str


class TokenLine(msgspec.Struct, frozen=True):
    token_id: str
    label: str
    kind: str
    last_four: str
    created_at: float
    expires_at: float | None
    remove: str


class SettingsPage(msgspec.Struct, frozen=True):
    """`agents` is None where agents' models cannot be set for all projects; `new_token` is shown this once."""

    keys: tuple[KeyLine, ...]
    providers: tuple[str, ...]
    chosen: str
    ceilings: tuple[Ceiling, ...]
    tokens: tuple[TokenLine, ...]
    allowed: tuple[str, ...]
    agents: tuple[AgentChoice, ...] | None
    models: tuple[tuple[str, str], ...]
    trial: Trial | None
    new_token: str
    problem: str


def settings_page(
    user: User,
    providers: Sequence[ProviderView],
    keys: Sequence[Credential],
    tokens: Sequence[Token],
    used: Sequence[UsageLine],
    *,
    today: str,
    chosen: str = "",
    agents: Mapping[str, str] | None = None,
    models: Sequence[str] = (),
    trial: TrialResult | None = None,
    new_token: str = "",
    problem: str = "",
) -> SettingsPage:
    """`used` are the lines of this UTC month at least, `today` is the UTC day as `2026-03-01`."""
    by_provider = {key.provider: key for key in keys}
    return SettingsPage(
        keys=tuple(key_line(provider, by_provider.get(provider.name)) for provider in _sorted(providers, by_provider)),
        providers=tuple(provider.name for provider in providers),
        chosen=chosen,
        ceilings=ceilings(user, used, today),
        tokens=tuple(_token(token) for token in tokens),
        allowed=tuple(one_line(pattern, 100) for pattern in user.models),
        agents=agent_choices(agents) if agents is not None else None,
        models=tuple((name, one_line(name, 100)) for name in models),
        trial=trial_view(trial) if trial else None,
        new_token=new_token,
        problem=one_line(problem, 600),
    )


def _sorted(providers: Sequence[ProviderView], keys: Mapping[str, Credential]) -> list[ProviderView]:
    """Those with a key first."""
    return sorted(providers, key=lambda provider: provider.name not in keys)


def key_line(provider: ProviderView, key: Credential | None) -> KeyLine:
    """A provider as it stands for this user."""
    return KeyLine(
        provider=provider.name,
        anchor=f"provider-{slug(provider.name)}",
        look=KEY[key.state] if key else _NO_KEY,
        has_key=key is not None,
        last_four=key.last_four if key else "",
        fingerprint=key.fingerprint if key else "",
        label=one_line(key.label, 80) if key else "",
        base_url=one_line(key.base_url, 200) if key else "",
        default_model=one_line(key.default_model or provider.default_model if key else provider.default_model, 100),
        added_at=key.created_at if key else None,
        why=one_line(key.why, 400) if key else "",
        missing=one_line(provider.missing, 200) if not key else "",
        test=links.provider(provider.name, "test"),
        remove=links.provider(provider.name, "remove"),
    )


def trial_view(trial: TrialResult) -> Trial:
    """How a tiny real call went."""
    facts = (trial.model, duration(trial.latency) if trial.works else "", usd(trial.cost) if trial.works else "")
    return Trial(
        trial.provider, trial.works, one_line(trial.words, 400), ", ".join(one_line(fact) for fact in facts if fact)
    )


def ceilings(user: User, used: Sequence[UsageLine], today: str) -> tuple[Ceiling, ...]:
    """What the user has spent today and this month, against the budgets."""
    day = [line for line in used if line.day == today]
    month = [line for line in used if line.day[:7] == today[:7]]
    return (_ceiling("Today", day, user.daily_budget), _ceiling("This month", month, user.monthly_budget))


def _ceiling(name: str, lines: Sequence[UsageLine], limit: int | None) -> Ceiling:
    spent = sum(line.cost or 0 for line in lines)
    unknown = any(line.cost is None for line in lines)
    percent = round(min(100.0, 100 * spent / limit), 1) if limit else (100.0 if limit == 0 else 0.0)
    tone = "bad" if percent >= 100 else "waits" if percent >= 80 else "good"
    words = usd(spent) + (" and a part unknown" if unknown else "")
    return Ceiling(name, words, usd(limit) if limit is not None else "", percent, tone)


def _token(token: Token) -> TokenLine:
    kind = {"session": "signed-in page", "token": "token"}[token.kind]
    return TokenLine(
        token.token_id,
        one_line(token.label, 80),
        kind,
        token.last_four,
        token.created_at,
        token.expires_at,
        links.token(token.token_id),
    )
