"""Usage adds up like numbers do, and an unknown cost never turns into a known one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from orchestrator_v2.core.usage import NANO, NO_USAGE, Usage, nano_usd, usd

counts = st.integers(0, 10**12)
usages = st.builds(Usage, counts, counts, counts, counts, counts, st.none() | counts)


@given(usages, usages, usages)
def test_adding_is_associative_and_commutative(a: Usage, b: Usage, c: Usage) -> None:
    """The order in which parallel tasks finish does not change a run's bill."""
    assert (a + b) + c == a + (b + c)
    assert a + b == b + a


@given(usages)
def test_nothing_used_changes_nothing(a: Usage) -> None:
    """`NO_USAGE` is the neutral element, on both sides."""
    assert a + NO_USAGE == a == NO_USAGE + a


@given(st.lists(usages))
def test_one_unknown_cost_makes_the_sum_unknown(parts: list[Usage]) -> None:
    """A sum's cost is known exactly when every part's is; it is never taken for 0."""
    total = sum(parts, NO_USAGE)
    costs = [part.cost for part in parts]
    assert total.cost == (None if None in costs else sum(cost or 0 for cost in costs))
    assert total.input_tokens == sum(part.input_tokens for part in parts)
    assert total.output_tokens == sum(part.output_tokens for part in parts)
    assert total.calls == sum(part.calls for part in parts)


@given(st.integers(0, 10**8))
def test_a_budget_in_cents_is_exact(cents: int) -> None:
    """Amounts in whole cents up to a million dollars are exact."""
    assert nano_usd(f"{cents // 100}.{cents % 100:02d}") == cents * NANO // 100


def test_amounts_are_shown_as_a_person_reads_them() -> None:
    """Unknown is a word, nothing is $0.00, and small sums keep their digits."""
    assert usd(None) == "unknown"
    assert usd(0) == "$0.00"
    assert usd(nano_usd("0.0123")) == "$0.0123"
    assert usd(nano_usd(12.345)) == "$12.35"
    assert [usd(cost) for cost in (1, 1234, 49_999)] == ["$0.000000001", "$0.0000012", "$0.000050"]


@given(st.integers(1, NANO - 1))
def test_no_cost_is_shown_as_nothing(cost: int) -> None:
    """The smallest sum has a digit that counts, and what is shown is within a twentieth of it."""
    assert abs(float(usd(cost)[1:]) * NANO - cost) <= max(cost / 20, 1e-6)
