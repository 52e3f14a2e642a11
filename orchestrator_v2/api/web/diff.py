"""What changed between two versions of a text, as rows: lines of both, the words in them that differ, folds between.

Which versions there are is `versions.py`; how rows are drawn is `diff.html`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher

import msgspec

from orchestrator_v2.api.web.text import visible

# Lines around a change that are shown; what lies between is folded.
CONTEXT = 3
# Past so many lines a side the texts are not compared: it takes time by their product.
LONGEST = 6_000
# With more pairs of equal lines than this, frequent lines (blank ones, brackets) are not matched for themselves.
_MANY = 60_000
# Changed lines whose letters are compared, and their length: it takes time by the product of the two.
_WORDY, _LONG_LINE = 400, 200


class Part(msgspec.Struct, frozen=True):
    """A piece of a line, and whether it is what differs."""

    text: str
    changed: bool = False


class Side(msgspec.Struct, frozen=True):
    """One line of one version; `number` counts from 1."""

    number: int
    parts: tuple[Part, ...]


class Row(msgspec.Struct, frozen=True):
    """`kind` is same, changed, added, removed or fold (`skipped` lines of both are left out)."""

    kind: str
    old: Side | None = None
    new: Side | None = None
    skipped: int = 0


class Compared(msgspec.Struct, frozen=True):
    """`note` says why there are no rows."""

    rows: tuple[Row, ...]
    added: int = 0
    removed: int = 0
    note: str = ""


def compare(old: str, new: str) -> Compared:
    """The two texts as rows."""
    before, after = visible(old).splitlines(), visible(new).splitlines()
    if max(len(before), len(after)) > LONGEST:
        return Compared((), note=f"Over {LONGEST:,} lines: too long to compare here. Download both versions.")
    if before == after:
        return Compared((), note="The two versions are the same.")
    matcher = SequenceMatcher(None, before, after, autojunk=_pairs(before, after) > _MANY)
    rows: list[Row] = []
    at_old = at_new = 0
    for group in matcher.get_grouped_opcodes(CONTEXT):
        skipped = group[0][1] - at_old
        if skipped > 0:
            rows.append(Row("fold", skipped=skipped))
        for opcode in group:
            rows += _rows(opcode, before, after, wordy=sum(row.kind == "changed" for row in rows) < _WORDY)
        at_old, at_new = group[-1][2], group[-1][4]
    if len(after) > at_new:
        rows.append(Row("fold", skipped=len(after) - at_new))
    removed = sum(row.kind in {"changed", "removed"} for row in rows)
    return Compared(tuple(rows), sum(row.kind in {"changed", "added"} for row in rows), removed)


def _pairs(before: Sequence[str], after: Sequence[str]) -> int:
    """How many pairs of equal lines there are: what an exact comparison has to look at, more than once."""
    counts = Counter(before)
    return sum(counts[line] for line in after)


def _rows(
    opcode: tuple[str, int, int, int, int], before: Sequence[str], after: Sequence[str], *, wordy: bool
) -> Iterator[Row]:
    tag, old_from, old_to, new_from, new_to = opcode
    wordy = wordy and max(old_to - old_from, new_to - new_from) <= _WORDY
    for place in range(max(old_to - old_from, new_to - new_from)):
        left, right = old_from + place, new_from + place
        if tag == "equal":
            yield Row("same", _side(left, before[left]), _side(right, after[right]))
        elif left < old_to and right < new_to:
            yield _changed(left, before[left], right, after[right], wordy=wordy)
        elif left < old_to:
            yield Row("removed", old=_side(left, before[left]))
        else:
            yield Row("added", new=_side(right, after[right]))


def _side(at: int, text: str) -> Side:
    return Side(at + 1, (Part(text),))


def _changed(left: int, old: str, right: int, new: str, *, wordy: bool) -> Row:
    if not wordy or len(old) > _LONG_LINE or len(new) > _LONG_LINE:
        return Row("changed", _side(left, old), _side(right, new))
    matcher = SequenceMatcher(None, old, new, autojunk=False)
    if matcher.ratio() < 0.5:
        return Row("changed", _side(left, old), _side(right, new))
    opcodes = matcher.get_opcodes()
    return Row(
        "changed",
        Side(left + 1, tuple(Part(old[a:b], tag != "equal") for tag, a, b, _, _ in opcodes if b > a)),
        Side(right + 1, tuple(Part(new[a:b], tag != "equal") for tag, _, _, a, b in opcodes if b > a)),
    )


def unified(rows: Sequence[Row]) -> Iterator[tuple[str, Side | None, Side | None, int]]:
    """(kind, old, new, skipped) line by line as one column: in a block what went stands above what came."""
    block: list[Row] = []
    for row in (*rows, Row("fold")):
        if row.kind in {"same", "fold"}:
            yield from (("removed", changed.old, None, 0) for changed in block if changed.old)
            yield from (("added", None, changed.new, 0) for changed in block if changed.new)
            block = []
            if row.kind == "same" or row.skipped:
                yield row.kind, row.old, row.new, row.skipped
        else:
            block.append(row)
