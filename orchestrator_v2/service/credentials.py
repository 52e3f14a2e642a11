"""A user's provider settings: a key stored, shown by its last four, tested, forgotten; and what may be chosen.

How keys are sealed is the `credentials` floor; how one is used in a run is `run_clients.py`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable

import msgspec

from orchestrator_v2.core.accounts import Credential, Keyring, User
from orchestrator_v2.core.clock import Clock
from orchestrator_v2.core.errors import ConfigError, LimitedError, UnknownNameError
from orchestrator_v2.core.secrets import Secret, redact
from orchestrator_v2.key_sources import OwnKeyWatch, check_entitled, no_key
from orchestrator_v2.llm.auth import kind_of
from orchestrator_v2.llm.factory import LLMFactory
from orchestrator_v2.llm.manager import LLMManager, ModelView, ProviderView, TrialResult, try_model
from orchestrator_v2.llm.retry import RetryConfig
from orchestrator_v2.llm.types import LLMConfig
from orchestrator_v2.service.rights import require

# A trial costs its user real money: at most so many in so many seconds.
TRIALS, WITHIN = 5, 60.0
_LONGEST_KEY, _LONGEST_TEXT = 4_096, 300
_ONCE = RetryConfig(max_attempts=1)
# Providers that ask nobody, so there is nothing to store for them.
_ASK_NOBODY = frozenset({"simulated", "replay", "scripted"})
# What a server without keys of its own is sent, as its wire wants something.
_NO_KEY = "no-key-needed"


class CredentialService:
    """`check_address` gives a base_url as it is to be kept, and refuses one that a user must not make this server
    speak to."""

    def __init__(
        self,
        keyring: Keyring,
        models: LLMFactory,
        manager: LLMManager,
        *,
        check_address: Callable[[str], Awaitable[str]],
        clock: Clock,
    ) -> None:
        self._keyring = keyring
        self._models = models
        self._manager = manager
        self._check_address = check_address
        self._clock = clock
        self._trials: dict[str, deque[float]] = {}

    def providers(self) -> list[ProviderView]:
        """All of them, by name; what the environment lacks is nothing to a server's users."""
        return [
            msgspec.structs.replace(view, missing="" if view.default_model else "no usual model: name one")
            for view in self._manager.providers()
            if view.name not in _ASK_NOBODY
        ]

    def catalog(self, provider: str = "") -> list[ModelView]:
        return self._manager.models(provider)

    async def stored(self, user: User) -> list[Credential]:
        require(user, "read")
        return await self._keyring.of_user(user.user_id)

    async def store(
        self, user: User, provider: str, key: str, *, base_url: str = "", default_model: str = "", label: str = ""
    ) -> Credential:
        """Keeps the key, bound to its address, in the place of an earlier one.

        Raises `UnknownNameError` for a provider or model that is not there, `ConfigError` for an address that is not
        allowed or a key that cannot be one.
        """
        require(user, "write")
        known = [name for name in self._models.names() if name not in _ASK_NOBODY]
        if provider not in known:
            raise UnknownNameError("provider", provider, known)
        if base_url:
            base_url = await self._check_address(base_url)
        if default_model:
            self._models.resolve(LLMConfig(provider, default_model, None, base_url, guarded=True))
        return await self._keyring.put(
            user.user_id,
            provider,
            self._secret(provider, key),
            base_url=base_url,
            default_model=default_model[:_LONGEST_TEXT],
            label=label[:_LONGEST_TEXT],
        )

    def _secret(self, provider: str, key: str) -> Secret:
        text = key.strip()
        if not text and not self._models.needs_key(provider):
            return Secret(_NO_KEY)
        if not text or len(text) > _LONGEST_KEY or not text.isascii() or not text.isprintable() or " " in text:
            raise ConfigError(
                "That cannot be a key.", f"A key has 1 to {_LONGEST_KEY} visible ASCII characters.", "Copy it again."
            )
        return Secret(text)

    async def forget(self, user: User, provider: str) -> None:
        """Raises `UnknownNameError` where there is no key of that provider."""
        require(user, "write")
        if not await self._keyring.revoke(user.user_id, provider):
            raise UnknownNameError("key for", provider, [it.provider for it in await self.stored(user)])

    async def test(self, user: User, provider: str, model: str = "") -> TrialResult:
        """One tiny real call with the user's own key. What goes wrong with the call is in the result, not raised.

        Raises `CredentialMissingError` without a key, `LimitedError` when it is asked for too often.
        """
        require(user, "write")
        stored = await self._keyring.usable(user.user_id, provider)
        if stored is None:
            raise no_key(provider, "Store one first.")
        self._throttle(user)
        secret = await self._keyring.open(user.user_id, stored.credential_id)
        config = LLMConfig(
            provider, model or stored.default_model, secret, stored.base_url, kind_of(secret), guarded=True
        )
        check_entitled(user.models, provider, self._models.resolve(config).name)
        watch = OwnKeyWatch(self._keyring, stored)
        tried = await try_model(self._models, config, watch=watch, retry=_ONCE)
        # A provider may say the key back, in an error as in an answer.
        return msgspec.structs.replace(tried, words=redact(tried.words, (secret,)))

    def _throttle(self, user: User) -> None:
        now = self._clock.monotonic()
        recent = self._trials.setdefault(user.user_id, deque())
        while recent and recent[0] <= now - WITHIN:
            recent.popleft()
        if len(recent) >= TRIALS:
            raise LimitedError(
                f"At most {TRIALS} tests a minute are made.",
                "Each is a real call.",
                "Wait a little.",
                retry_after=max(1, int(recent[0] + WITHIN - now) + 1),
            )
        recent.append(now)
