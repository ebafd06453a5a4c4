"""Whether runs may be compared: the same users, items, pairs and protocol in each of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from diffkg_recbole.errors import UserError
from diffkg_recbole.store import CorruptRunError, RunRecord

FULL_RANKING = "full"
"""The kind of evaluation in which every item is a candidate."""

_PARTS = ("train", "valid", "test")
_NAMES = ("users", "items")


class IncomparableError(UserError):
    """Runs that saw different data or protocols cannot stand in one table."""


def evaluation_of(record: RunRecord) -> str:
    """Among which items a run ranked: ``full``, or RecBole's mode such as ``uni100``.

    Runs that do not record it say it by their configuration. Where validation ranked among other
    items than the test, both are named, because scores of neither compare with another run's.
    """
    recorded = record.get("evaluation")
    if isinstance(recorded, str) and recorded:
        return recorded
    arguments = record.config().get("eval_args")
    mode = arguments.get("mode") if isinstance(arguments, Mapping) else None
    modes = mode if isinstance(mode, Mapping) else {"valid": mode, "test": mode}
    valid, test = (str(modes.get(part) or FULL_RANKING) for part in ("valid", "test"))
    return test if valid == test else f"{test}, validation {valid}"


def data_key(record: RunRecord) -> tuple[Any, ...]:
    """What two runs must share to be compared: dataset, protocol, kind of evaluation, pairs,
    users and items."""
    prints = record["fingerprint"]
    counts = prints.get("counts") or {}
    return (record.dataset, record.protocol, evaluation_of(record),
            *(prints.get(name) for name in _PARTS + _NAMES), *(counts.get(name) for name in _NAMES))


def check_comparable(rows: Mapping[str, Sequence[RunRecord]]) -> None:
    """Refuse a table whose rows saw different data.

    Runs of several split seeds may stand in one table as a second factor, but then every row
    needs every split.

    Args:
        rows: the runs (seeds, and perhaps splits) of each row.

    Raises:
        IncomparableError: names two runs and what differs: protocol, which parts of the data,
            their counts, and by how many test pairs where both runs stored theirs.
    """
    first_label = None
    for label, records in rows.items():
        if not records:
            raise IncomparableError(f"row '{label}' has no run")
        _check_one_row(records)
        if first_label is None:
            first_label = label
            continue
        wanted = {data_key(record): record for record in rows[first_label]}
        found = {data_key(record): record for record in records}
        if wanted.keys() != found.keys():
            raise IncomparableError(_mismatch(wanted, found))


def _check_one_row(records: Sequence[RunRecord]) -> None:
    """Within one row, only another split seed may have changed the data."""
    for other in records[1:]:
        same_split = other.get("split_seed") == records[0].get("split_seed")
        same_rules = data_key(other)[:3] == data_key(records[0])[:3]
        if data_key(other) != data_key(records[0]) and (same_split or not same_rules):
            raise IncomparableError(describe_difference(records[0], other))


def _mismatch(
    wanted: Mapping[tuple[Any, ...], RunRecord], found: Mapping[tuple[Any, ...], RunRecord]
) -> str:
    lacking = [record for key, record in wanted.items() if key not in found]
    extra = [record for key, record in found.items() if key not in wanted]
    if lacking and extra:
        return describe_difference(lacking[0], extra[0])
    alone, others = (lacking, found) if lacking else (extra, wanted)
    label = next(iter(others.values())).label
    splits = ", ".join(str(record.get("split_seed")) for record in alone)
    return (f"rows '{alone[0].label}' and '{label}' are not comparable: "
            f"'{label}' has no run with split seed {splits}")


def describe_difference(first: RunRecord, second: RunRecord) -> str:
    """One sentence that says in what the data of two runs differ."""
    differences = [
        f"{name} '{a}' against '{b}'" for name, a, b in (
            ("dataset", first.dataset, second.dataset),
            ("protocol", first.protocol, second.protocol),
            ("evaluation", evaluation_of(first), evaluation_of(second))) if a != b
    ]
    one, two = first["fingerprint"], second["fingerprint"]
    counts_one, counts_two = one.get("counts") or {}, two.get("counts") or {}
    differences += [
        f"different {name} ({counts_one.get(name, '?')} against {counts_two.get(name, '?')})"
        for name in _NAMES
        if one.get(name) != two.get(name) or counts_one.get(name) != counts_two.get(name)
    ]
    for part in _PARTS:
        if one.get(part) != two.get(part):
            text = (f"different {part} pairs "
                    f"({counts_one.get(part, '?')} against {counts_two.get(part, '?')})")
            differences.append(text + (_test_pairs(first, second) if part == "test" else ""))
    return (f"runs {_name(first)} and {_name(second)} are not comparable: "
            f"{'; '.join(differences) or 'no difference found'}")


def _name(record: RunRecord) -> str:
    return f"{record.folder.name} ({record.label}, seed {record.seed})"


def _test_pairs(first: RunRecord, second: RunRecord) -> str:
    """How many test pairs are in one of the runs only, where both stored them."""
    try:
        one, two = (record.pairs()[["user", "item"]].drop_duplicates()
                    for record in (first, second))
    except CorruptRunError:
        return ""
    both = len(one.merge(two, on=["user", "item"]))
    return f", {len(one) - both} of them only in the first, {len(two) - both} only in the second"
