"""`providers`, `models` and `llm ask`: who can be asked, for how much, and one question without a run.

What is asked here is answered by `llm/manager.py`; the models of a run are settled when it starts.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeVar

import typer

from orchestrator_v2.cli import exit_codes, render
from orchestrator_v2.cli.given import Json, given
from orchestrator_v2.cli.help_text import Command, Group
from orchestrator_v2.cli.text import block
from orchestrator_v2.core.errors import InputError
from orchestrator_v2.core.text import one_line
from orchestrator_v2.core.usage import usd

T = TypeVar("T")
_HELP = {"help_option_names": ["-h", "--help"]}
providers = typer.Typer(name="providers", cls=Group, help="List the providers, and try one.", context_settings=_HELP)
llm = typer.Typer(name="llm", cls=Group, help="Ask a model one thing.", context_settings=_HELP, no_args_is_help=True)
Provider = Annotated[str, typer.Option(help="Of this provider.", show_default=False)]
Model = Annotated[str, typer.Option(help="A model, an alias, or provider/model.", show_default=False)]


@providers.callback(invoke_without_command=True)
def _providers(context: typer.Context, json: Json = False) -> int:
    return list_providers(context, json) if context.invoked_subcommand is None else 0


@providers.command("list", cls=Command)
def list_providers(context: typer.Context, json: Json = False) -> int:
    """List the providers: whether they can be used now, their models, and where their key comes from."""
    found = _with_models(context, lambda models: _at_once(models.providers()))
    if json:
        render.json_document(found)
        return 0
    # Where a key goes is told where that is not the vendor's own server.
    moved = any(each.own_address for each in found)
    render.table(
        ("provider", "state", "default model", "in, out", "models", "key", *(("address",) if moved else ())),
        [
            (
                each.name,
                "ready" if each.ready else each.missing,
                each.default_model or "name one",
                _price_of(each),
                str(each.models or "any"),
                each.key_source or " or ".join(each.key_variables) or "none needed",
                *((each.base_url if each.own_address else "",) if moved else ()),
            )
            for each in found
        ],
    )
    render.note("In, out: the default model's price in US dollars for a million tokens.")
    return 0


@providers.command("test", cls=Command)
def try_provider(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The provider's name.")],
    model: Model = "",
    json: Json = False,
) -> int:
    """Send one tiny real call to a provider; it may cost a fraction of a cent."""
    found = _with_models(context, lambda models: models.test(name, model))
    if json:
        render.json_document(found)
    elif found.works:
        render.say(f"{found.provider} works: {found.model} answered in {found.latency:.1f} s.")
        render.facts([("answer", one_line(found.words)), ("cost", usd(found.cost))])
    else:
        render.say(f"{found.provider} does not work: {one_line(found.words)}")
    return exit_codes.DONE if found.works else exit_codes.FAILED


def models(context: typer.Context, provider: Provider = "", json: Json = False) -> int:
    """List the models that are known by name: state, window, price for a million tokens."""
    found = _with_models(context, lambda manager: _at_once(manager.models(provider)))
    if json:
        render.json_document(found)
        return 0
    render.table(
        ("provider", "model", "also", "state", "window", "in", "out"),
        [
            (
                each.provider,
                each.name + (" (default)" if each.is_default else ""),
                ", ".join(each.aliases),
                _state(each),
                f"{each.window:,}" if each.window else "",
                _rate(each, "input"),
                _rate(each, "output"),
            )
            for each in found
        ],
        empty="This provider's models are not known by name; any name is passed on.",
    )
    tiers = _tiers(found)
    if tiers:
        render.note(
            f"Prices are in US dollars for a million tokens; after a slash, those of a longer prompt ({tiers})."
        )
    return 0


@llm.command("ask", cls=Command)
def ask(
    context: typer.Context,
    prompt: Annotated[str, typer.Argument(metavar="PROMPT", help="The question; - reads it from standard input.")],
    *,
    model: Model = "",
    provider: Provider = "",
    system: Annotated[str, typer.Option(help="A system prompt.", show_default=False)] = "",
    max_tokens: Annotated[int, typer.Option(min=1, help="The longest answer, in tokens.")] = 4_000,
    search: Annotated[
        str,
        typer.Option(
            metavar="ENGINE",
            help="Search: auto, ddgs, brave, tavily, google_cse; native: the model itself.",
            show_default=False,
        ),
    ] = "",
    stream: Annotated[bool, typer.Option("--stream", help="Print the answer as it comes.")] = False,
    json: Json = False,
) -> int:
    """Ask a model one thing and print its answer; what it cost goes to standard error."""
    from orchestrator_v2.llm.types import InvokeOptions

    text = sys.stdin.read() if prompt == "-" else prompt
    if not text.strip():
        raise InputError("The question is empty.", "There is nothing to ask a model.", "Say it in words.")
    options = InvokeOptions(max_tokens=max_tokens, system_prompt=system)

    async def asked(manager: Any) -> Any:
        client = manager.client(model, provider, search=search)
        if not stream:
            return await client.invoke(text, options)
        async for piece in client.stream(text, options):
            if not isinstance(piece, str):
                return piece
            if not json:
                sys.stdout.write(_shown(piece))
                sys.stdout.flush()
        raise AssertionError("a stream ends with its completion, or raises")

    answer = _with_models(context, asked)
    if json:
        render.json_document({"text": answer.text, "model": answer.provenance.model, **_figures(answer)})
        return 0
    render.say("" if stream else _shown(answer.text))
    _say_beside(answer)
    return 0


def _say_beside(answer: Any) -> None:
    """What is told of an answer on standard error: who gave it, at what cost, from which pages."""
    used = answer.usage
    render.note(
        f"{answer.provenance}: {used.input_tokens:,} tokens in, {used.output_tokens:,} out, "
        f"{usd(used.cost)}, {answer.latency:.1f} s"
    )
    for source in answer.sources:
        render.note(f"source: {source.title} {source.url}")
    for words in answer.notes:
        render.note(words)


def _with_models(context: typer.Context, question: Callable[[Any], Awaitable[T]]) -> T:
    async def asked() -> T:
        from orchestrator_v2.bootstrap import open_models

        manager = open_models(given(context).settings())
        try:
            return await question(manager)
        finally:
            await manager.aclose()

    return asyncio.run(asked())


def _shown(text: str) -> str:
    """As it came in a pipe; on a terminal without what would steer it."""
    return block(text) if sys.stdout.isatty() else text


async def _at_once(value: T) -> T:
    return value


def _figures(answer: Any) -> dict[str, Any]:
    return {
        "provider": answer.provenance.provider,
        "made_how": answer.provenance.kind,
        "finish_reason": answer.finish_reason,
        "input_tokens": answer.usage.input_tokens,
        "output_tokens": answer.usage.output_tokens,
        "cost_nano_usd": answer.cost,
        "latency": answer.latency,
        "notes": list(answer.notes),
        "sources": [{"title": source.title, "url": source.url} for source in answer.sources],
    }


def _state(model: Any) -> str:
    until = {"retiring": f"retires {model.retires}", "retired": f"retired {model.retires}"}.get(model.state, "")
    instead = f", use {model.successor}" if model.successor and until else ""
    return f"{until}{instead}" or model.state


def _price_of(provider: Any) -> str:
    """In and out of the default model, for short prompts."""
    if provider.price is None:
        return "unknown" if provider.default_model else ""
    return (
        ", ".join(_dollars(rates[0][1]) for rates in (provider.price.input, provider.price.output) if rates) or "free"
    )


def _rate(model: Any, side: str) -> str:
    if model.price is None:
        return "" if model.state == "retired" else "unknown"
    return " / ".join(_dollars(rate) for _, rate in getattr(model.price, side)) or "free"


def _dollars(rate: int) -> str:
    """A rate with its cents, and what it has below them: `$1.00`, `$0.075`."""
    whole, _, part = f"{rate / 1e9:,.6f}".partition(".")
    return f"${whole}.{part.rstrip('0').ljust(2, '0')}"


def _tiers(models: list[Any]) -> str:
    """From how many tokens on the further rates hold, of all that are listed; empty where none has any."""
    prices = [model.price for model in models if model.price is not None]
    starts = {start for price in prices for side in (price.input, price.output) for start, _ in side if start}
    return " or ".join(f"over {start:,} tokens" for start in sorted(starts))
