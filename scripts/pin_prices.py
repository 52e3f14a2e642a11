"""Writes `llm/prices.json`: the prices of the catalog's models, out of the installed table of `genai-prices`.

A test compares the file with that table; looking up a pinned price does not load it, which takes longer than a request.
"""

from __future__ import annotations

import json
from pathlib import Path

from orchestrator_v2.llm import catalog, prices

FILE = Path(prices.__file__).with_name("prices.json")


def pinned() -> dict[str, dict[str, object]]:
    """Provider, model, row; models without a price, or whose price changes with the time, are left out."""
    found: dict[str, dict[str, object]] = {}
    for provider, row in catalog.load_catalog().items():
        for model in row.models:
            price = prices.lasting_price(provider, model)
            if price is not None:
                found.setdefault(provider, {})[model] = json.loads(prices.price_row(price))
    return found


def _block(provider: str, models: dict[str, object]) -> str:
    lines = ",\n".join(f'    "{name}": {json.dumps(row)}' for name, row in models.items())
    return f'  "{provider}": {{\n{lines}\n  }}'


def main() -> None:
    rows = pinned()
    FILE.write_text("{\n" + ",\n".join(_block(*each) for each in rows.items()) + "\n}\n")
    print(f"{FILE}: {sum(map(len, rows.values()))} prices")


if __name__ == "__main__":
    main()
