"""`serve`, `users` and `keys`: a server of one's own, who may use it, and the keys that it keeps.

The server itself is the `api` floor, which this one does not know: `__main__` hands in how it is served.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeVar

import typer

from orchestrator_v2.cli import render
from orchestrator_v2.cli.given import Given, Json, given
from orchestrator_v2.cli.help_text import Command, Group
from orchestrator_v2.core.errors import InputError

T = TypeVar("T")
_HELP = {"help_option_names": ["-h", "--help"]}
users = typer.Typer(name="users", cls=Group, help="Who may use the server.", context_settings=_HELP)
keys = typer.Typer(name="keys", cls=Group, help="Keys that the server keeps, sealed.", context_settings=_HELP)
Name = Annotated[str, typer.Argument(metavar="NAME", help="The user's name or id.")]
Role = Annotated[str, typer.Option("--role", help="admin, developer or viewer.")]
Usd = Annotated[float | None, typer.Option(metavar="USD", show_default=False, help="A ceiling in US dollars.")]
Models = Annotated[
    list[str] | None, typer.Option("--model", metavar="PATTERN", show_default=False, help="Such as anthropic/*.")
]


def serve(
    context: typer.Context,
    host: Annotated[str | None, typer.Option(show_default=False, help="Where to listen; 127.0.0.1 by default.")] = None,
    port: Annotated[int | None, typer.Option(show_default=False, help="The port; 8000 by default.")] = None,
) -> int:
    """Serve the page and the API; binds to this machine alone until there are users.

    Ctrl-C ends it: what is under way may end (at most 30 s), and nothing is lost.
    """
    options = given(context)
    options.flags |= {"host": host, "port": port}

    async def served() -> None:
        service = await options.open_service(json_log=True)
        await options.serve(service, lambda url: render.say(f"Serving on {url}  (Ctrl-C ends it)"))

    asyncio.run(served())
    return 0


def _ask(options: Given, question: Callable[[Any, Any], Awaitable[T]]) -> T:
    """Asks the service one thing as whoever sits at the machine, and closes it."""

    async def asked() -> T:
        service = await options.open_service()
        try:
            return await question(service, await service.accounts.local())
        finally:
            await service.close()

    return asyncio.run(asked())


def _nano(dollars: float | None) -> int | None:
    from orchestrator_v2.core.usage import nano_usd

    return None if dollars is None else nano_usd(dollars)


def _say_token(issued: Any) -> None:
    render.say(issued.value)
    render.note(f"This is the token of {issued.user.name}; it is shown this once and kept nowhere.")


@users.command("add", cls=Command)
def add_user(
    context: typer.Context,
    name: Name,
    role: Role = "developer",
    daily_budget: Usd = None,
    monthly_budget: Usd = None,
    model: Models = None,
    sees: Annotated[str, typer.Option(metavar="NAME", help="Whose projects a viewer looks at.")] = "",
) -> int:
    """Add a user and print their token, once. From then on the server lets nobody in without one."""

    async def add(service: Any, local: Any) -> Any:
        return await service.accounts.add_user(
            local,
            name,
            role,
            models=model or (),
            daily_budget=_nano(daily_budget),
            monthly_budget=_nano(monthly_budget),
            sees=sees,
        )

    _say_token(_ask(given(context), add))
    return 0


@users.command("token", cls=Command)
def add_token(
    context: typer.Context,
    name: Name,
    label: Annotated[str, typer.Option(help="What it is for.")] = "",
    days: Annotated[float | None, typer.Option(show_default=False, help="How long it holds.")] = None,
) -> int:
    """Print a further token of a user, once; `local` is whoever sits at the machine."""
    issued = _ask(given(context), lambda service, local: service.accounts.add_token(local, name, label, days=days))
    _say_token(issued)
    return 0


@users.command("list", cls=Command)
def list_users(context: typer.Context, json: Json = False) -> int:
    """List the users."""
    from orchestrator_v2.core.usage import usd

    found = _ask(given(context), lambda service, local: service.accounts.users(local))
    if json:
        render.json_document(found)
        return 0
    render.table(
        ("user", "role", "state", "models", "a day", "a month", "id"),
        [
            (
                user.name,
                user.role,
                "disabled" if user.disabled else "active",
                ", ".join(user.models) or "all",
                "no ceiling" if user.daily_budget is None else usd(user.daily_budget),
                "no ceiling" if user.monthly_budget is None else usd(user.monthly_budget),
                user.user_id,
            )
            for user in found
        ],
    )
    return 0


@users.command("set", cls=Command)
def set_user(
    context: typer.Context,
    name: Name,
    role: Annotated[str | None, typer.Option(show_default=False, help="admin, developer or viewer.")] = None,
    disabled: Annotated[bool | None, typer.Option("--disabled/--enabled", show_default=False)] = None,
    daily_budget: Usd = None,
    monthly_budget: Usd = None,
    no_budget: Annotated[bool, typer.Option("--no-budget", help="Take both ceilings away.")] = False,
    model: Models = None,
) -> int:
    """Change a user's role, models or ceilings, or shut them out."""
    wished: dict[str, Any] = {"role": role, "disabled": disabled, "models": tuple(model) if model else None}
    wished |= {"daily_budget": _nano(daily_budget), "monthly_budget": _nano(monthly_budget)}
    wished = {field: value for field, value in wished.items() if value is not None}
    if no_budget:
        wished |= {"daily_budget": None, "monthly_budget": None}
    if not wished:
        raise InputError("Nothing was to be changed.", do="Give --role, --disabled, --model or a budget.")
    changed = _ask(given(context), lambda service, local: service.accounts.set_user(local, name, **wished))
    render.say(f"{changed.name} is {changed.role}{', disabled' if changed.disabled else ''}.")
    return 0


@users.command("tokens", cls=Command)
def list_tokens(context: typer.Context, name: Name, json: Json = False) -> int:
    """List a user's tokens and sessions, each by its last four."""
    found = _ask(given(context), lambda service, local: service.accounts.tokens(local, name))
    if json:
        render.json_document(found)
        return 0
    render.table(
        ("token", "kind", "label", "ends in", "id"),
        [(f"…{it.last_four}", it.kind, it.label, "" if it.expires_at is None else "set", it.token_id) for it in found],
    )
    return 0


@users.command("revoke", cls=Command)
def drop_token(context: typer.Context, name: Name, token: Annotated[str, typer.Argument(metavar="TOKEN_ID")]) -> int:
    """Take a token away, by its id."""
    _ask(given(context), lambda service, local: service.accounts.drop_token(local, token, name))
    render.say("Nobody is let in with it any more.")
    return 0


@keys.command("add", cls=Command)
def add_key(
    context: typer.Context,
    provider: Annotated[str, typer.Argument(metavar="PROVIDER")],
    from_env: Annotated[
        str, typer.Option(metavar="NAME", help="Take it from this variable; else it is read from standard input.")
    ] = "",
    base_url: Annotated[str, typer.Option(metavar="URL", help="A server that speaks the provider's protocol.")] = "",
    model: Annotated[str, typer.Option(help="The model that is meant where none is named.")] = "",
    label: Annotated[str, typer.Option(help="What it is for.")] = "",
) -> int:
    """Store a key of your own for the server, sealed. It is never an argument: those are seen by others."""
    text = os.environ.get(from_env, "") if from_env else _typed_key()

    async def store(service: Any, local: Any) -> Any:
        return await service.credentials.store(
            local, provider, text, base_url=base_url, default_model=model, label=label
        )

    stored = _ask(given(context), store)
    render.say(f"Stored the key of {stored.provider} that ends in {stored.last_four} ({stored.fingerprint}).")
    return 0


def _typed_key() -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline()
    import getpass

    return getpass.getpass("Key (not shown): ")


@keys.command("list", cls=Command)
def list_keys(context: typer.Context, json: Json = False) -> int:
    """List your stored keys, each by its last four."""
    found = _ask(given(context), lambda service, local: service.credentials.stored(local))
    if json:
        render.json_document(found)
        return 0
    render.table(
        ("provider", "key", "fingerprint", "state", "address", "label"),
        [
            (it.provider, f"…{it.last_four}", it.fingerprint, f"{it.state} {it.why}".strip(), it.base_url, it.label)
            for it in found
        ],
    )
    return 0


@keys.command("remove", cls=Command)
def remove_key(context: typer.Context, provider: Annotated[str, typer.Argument(metavar="PROVIDER")]) -> int:
    """Forget a stored key. Runs that use it park, and say so."""
    _ask(given(context), lambda service, local: service.credentials.forget(local, provider))
    render.say(f"The key of {provider} is gone.")
    return 0


@keys.command("rotate", cls=Command)
def rotate(context: typer.Context) -> int:
    """Put a new master key in the old one's place; every stored key stays. Broken off, it is begun again."""
    count = _ask(given(context), lambda service, local: service.keyring.rotate())
    render.say(f"A new master key wraps the keys of {count} user{'' if count == 1 else 's'}.")
    return 0
