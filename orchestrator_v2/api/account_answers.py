"""What the API answers about people: users, tokens, stored keys as they may be shown, usage.

What it answers about their projects and runs is `answers.py`.
"""

from __future__ import annotations

import msgspec
from pydantic import BaseModel

from orchestrator_v2.api.answers import dollars, when
from orchestrator_v2.core.accounts import Credential, Token, UsageLine, User
from orchestrator_v2.service.accounts import IssuedToken


class UserAnswer(BaseModel):
    id: str
    name: str
    role: str
    disabled: bool
    models: list[str]
    daily_budget: float | None
    monthly_budget: float | None
    sees: str
    agents: dict[str, str]
    created_at: str | None

    @classmethod
    def of(cls, user: User) -> UserAnswer:
        return cls(
            id=user.user_id,
            name=user.name,
            role=user.role,
            disabled=user.disabled,
            models=list(user.models),
            daily_budget=dollars(user.daily_budget),
            monthly_budget=dollars(user.monthly_budget),
            sees=user.sees,
            agents=user.agents,
            created_at=when(user.created_at),
        )


class TokenAnswer(BaseModel):
    id: str
    kind: str
    label: str
    last_four: str
    created_at: str | None
    expires_at: str | None

    @classmethod
    def of(cls, token: Token) -> TokenAnswer:
        return cls(
            id=token.token_id,
            kind=token.kind,
            label=token.label,
            last_four=token.last_four,
            created_at=when(token.created_at),
            expires_at=when(token.expires_at),
        )


class IssuedAnswer(BaseModel):
    """`token` is shown this once and kept nowhere."""

    user: UserAnswer
    token: str
    id: str

    @classmethod
    def of(cls, issued: IssuedToken) -> IssuedAnswer:
        return cls(user=UserAnswer.of(issued.user), token=issued.value, id=issued.token.token_id)


class ProviderSettingAnswer(BaseModel):
    """A stored key as it may be shown. `state` is ok or invalid, `why` what the provider said."""

    llm_provider: str
    label: str
    last_four: str
    fingerprint: str
    base_url: str
    default_model: str
    state: str
    why: str
    created_at: str | None

    @classmethod
    def of(cls, stored: Credential) -> ProviderSettingAnswer:
        return cls(
            llm_provider=stored.provider,
            label=stored.label,
            last_four=stored.last_four,
            fingerprint=stored.fingerprint,
            base_url=stored.base_url,
            default_model=stored.default_model,
            state=stored.state,
            why=stored.why,
            created_at=when(stored.created_at),
        )


class TrialAnswer(BaseModel):
    llm_provider: str
    model: str
    works: bool
    words: str
    latency_seconds: float
    cost_usd: float | None


class UsageAnswer(BaseModel):
    day: str
    provider: str
    model: str
    project_id: str
    calls: int
    input_tokens: int
    output_tokens: int
    cost_usd: float | None

    @classmethod
    def of(cls, line: UsageLine) -> UsageAnswer:
        given = msgspec.structs.asdict(line)
        return cls(cost_usd=dollars(given.pop("cost")), **given)
