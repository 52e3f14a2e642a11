"""Writes docs/reference/*.md out of the code: the providers, the models, the errors.

python scripts/make_reference.py     a test fails while the files on disk differ from what is made here
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from orchestrator_v2.core import errors, operation_errors
from orchestrator_v2.core.errors import OrchestratorError
from orchestrator_v2.llm.catalog import LEVELS, ModelRow, ProviderRow, given_price, load_catalog
from orchestrator_v2.llm.prices import PriceRow, Tiers, lasting_price

FOLDER = Path(__file__).parents[1] / "docs" / "reference"
_HEAD = "<!-- Made by scripts/make_reference.py out of the code: change that, and run it again. -->\n"
PAGES = (errors, operation_errors)
# A line of the drawing in core/errors.py: the class, then in words when it is raised.
_KNOWN = {None: "", True: "yes", False: "no"}
_DRAWN = re.compile(r"(\w+Error) {2,}(\S.*)$", re.MULTILINE)


def pages() -> dict[str, str]:
    """Each file's name and text."""
    return {"providers.md": _providers(), "models.md": _models(), "errors.md": _errors()}


def _providers() -> str:
    columns = ("provider", "wire", "default model", "address", "key variables", "schema held by", "own search", "batch")
    rows = (_provider(name, row) for name, row in sorted(load_catalog().items()) if row.wire)
    words = (
        "The rows of `orchestrator_v2/llm/vendors/*.json`. A key variable that stands first is looked at first. "
        "*Schema held by* is how an answer is held to a JSON Schema: by the wire's own `json_schema`, by `json_object` "
        "with the schema in words, or in `words` alone. *Batch* is what a call in the batch lane costs of the usual "
        "price. Your own rows come from `models.toml`: see [adding a provider](../how-to/add-a-provider.md)."
    )
    return _page("Providers", words, _table(columns, rows))


def _provider(name: str, row: ProviderRow) -> tuple[str, ...]:
    address = f"`{row.base_url}`" if row.base_url else f"yours, as `{row.address}`" if row.address else ""
    keys = ", ".join(f"`{variable}`" for variable in (*row.oauth_keys, *row.keys))
    searches = any(facts.native_search for facts in row.models.values())
    return (
        name,
        row.wire,
        f"`{row.default}`" if row.default else "name one",
        address,
        f"{keys} (may be left out)" if keys and row.keyless else keys or "none needed",
        {"openai": row.dialect.structured, "simulated": ""}.get(row.wire, "json_schema"),
        "yes" if searches else "",
        "" if row.batch_percent is None else f"{row.batch_percent} %",
    )


def _models() -> str:
    words = (
        "What is known by name. Prices are in US dollars for a million tokens; where one is left out, it changes with "
        "the day or is unknown: `orchestrator models` shows today's. *Search* is the vendor's own search tool, with "
        "its price for a thousand searches. *Pictures* and *tools* say whether it takes them on the wire that is "
        "spoken here, at which level of reasoning where there is but one; empty is not known. *Reasoning* are the "
        "levels that may be asked for. Providers that are not here take any name."
    )
    parts = [_of_provider(name, row) for name, row in sorted(load_catalog().items()) if row.wire and row.models]
    return _page("Models", words, "\n\n".join(parts))


def _of_provider(name: str, row: ProviderRow) -> str:
    facts = ("pictures", "tools", "reasoning")
    columns = ("model", "also", "window", "longest answer", "in", "out", "search", *facts, "until")
    rows = (_model(name, row, model, facts) for model, facts in row.models.items())
    return f"## {name}\n\n{_table(columns, rows)}"


def _model(provider: str, row: ProviderRow, model: str, facts: ModelRow) -> tuple[str, ...]:
    price = given_price(row, facts) or lasting_price(provider, model)
    aliases = ", ".join(alias for alias, target in row.aliases.items() if target == model)
    successor = f", then `{facts.successor}`" if facts.successor else ""
    return (
        f"`{model}`" + (" (default)" if model == row.default else ""),
        aliases,
        f"{facts.window:,}" if facts.window else "",
        f"{facts.max_output:,}" if facts.max_output else "",
        _rate(price.input) if price else "",
        "vectors" if facts.embeds else _rate(price.output) if price else "",
        _fee(price) if facts.native_search else "",
        _KNOWN[facts.vision],
        _KNOWN[facts.tools] + (f", at {facts.tools_reasoning}" if facts.tools_reasoning else ""),
        _levels(facts),
        f"{facts.retires}{successor}" if facts.retires else "",
    )


def _levels(facts: ModelRow) -> str:
    """Neighbours on the scale as a range: `none, low to max`."""
    parts: list[list[str]] = []
    for before, level in zip(("", *LEVELS), LEVELS, strict=False):
        if level in facts.reasoning and parts and parts[-1][-1] == before:
            parts[-1].append(level)
        elif level in facts.reasoning:
            parts.append([level])
    return ", ".join(f"{part[0]} to {part[-1]}" if len(part) > 2 else ", ".join(part) for part in parts)


def _rate(tiers: Tiers) -> str:
    """With each price for long prompts: `$2.00, $4.00 from 200,000`."""
    told = (f"${rate / 1e9:,.2f}" + (f" from {start:,}" if start else "") for start, rate in tiers)
    return ", ".join(told) or "free"


def _fee(price: PriceRow | None) -> str:
    return f"${price.search / 1e6:,.2f}" if price and price.search is not None else "yes"


def _errors() -> str:
    columns = ("error", "code", "exit", "HTTP", "run becomes", "sent again", "when")
    drawn = {name: words for page in PAGES for name, words in _DRAWN.findall(page.__doc__ or "")}
    rows = (_error(depth, kind, drawn) for depth, kind in _tree(OrchestratorError, 0))
    words = (
        "Every error that is raised on purpose, each under its parent. *Exit* is the command's exit code, *HTTP* the "
        "API's status, *run becomes* the state of a run that it stops (else the task fails), *sent again* whether the "
        "same request may be."
    )
    return _page("Errors", words, _table(columns, rows))


def _tree(kind: type[OrchestratorError], depth: int) -> Iterator[tuple[int, type[OrchestratorError]]]:
    yield depth, kind
    for child in kind.__subclasses__():
        if child.__module__ in {page.__name__ for page in PAGES}:
            yield from _tree(child, depth + 1)


def _error(depth: int, kind: type[OrchestratorError], drawn: dict[str, str]) -> tuple[str, ...]:
    return (
        f"{'&emsp;' * depth}`{kind.__name__}`",
        f"`{kind.code}`",
        str(kind.exit_code),
        str(kind.http_status),
        f"`{kind.parks_as}`" if kind.parks_as else "",
        "yes" if kind.retryable else "",
        drawn.get(kind.__name__, ""),
    )


def _page(title: str, words: str, body: str) -> str:
    return f"{_HEAD}# {title}\n\n{words}\n\n{body}\n"


def _table(columns: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [columns, ("---",) * len(columns), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '&#124;') for cell in line)} |" for line in lines)


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
        print(FOLDER / name)


if __name__ == "__main__":
    main()
