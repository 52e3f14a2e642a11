"""What a model call used and what it cost, in whole tokens and whole nano-dollars.

Prices live in `llm/catalog.py`, the ceiling in `engine/budget.py`. An unknown cost is None, never 0.
"""

from __future__ import annotations

import msgspec

NANO = 1_000_000_000


class Usage(msgspec.Struct, frozen=True, omit_defaults=True):
    """Tokens of one or more calls. `input_tokens` is the whole prompt, cached parts included.

    `cost` is in nano-dollars (1e-9 USD): None when a price is unknown; 0 for simulated work.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    calls: int = 0
    cost: int | None = 0

    @property
    def hit_rate(self) -> float | None:
        """Share of the input that came from the provider's cache, 0 to 1; None where there was no input."""
        return self.cache_read_tokens / self.input_tokens if self.input_tokens > 0 else None

    def __add__(self, other: Usage) -> Usage:
        unknown = self.cost is None or other.cost is None
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cache_read_tokens + other.cache_read_tokens,
            self.cache_write_tokens + other.cache_write_tokens,
            self.calls + other.calls,
            None if unknown else (self.cost or 0) + (other.cost or 0),
        )


NO_USAGE = Usage()


def usd(cost: int | None) -> str:
    """`$0.0123` for nano-dollars, `$0.0000012` where four digits would be none, `unknown` for None."""
    if cost is None:
        return "unknown"
    if cost == 0:
        return "$0.00"
    if cost >= NANO:
        return f"${cost / NANO:.2f}"
    # Two digits that count: a nano-dollar is the ninth after the point.
    digits = max(4, min(9, 11 - len(str(cost))))
    return f"${cost / NANO:.{digits}f}"


def nano_usd(dollars: float | str) -> int:
    """Nano-dollars for an amount in dollars."""
    return round(float(dollars) * NANO)
