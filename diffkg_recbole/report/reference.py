"""Which rows a report tests against, settled without a look at the test part.

A row picked because it is best on the test users owes some of its lead to chance, and every other
row would then be tested against that chance too: among equal models "significantly worse" would
come out far more often than the level says (docs/comparisons.md has the figures). So the
reference is named by the user, or chosen on validation data, or, where there is no validation
score apart from the test, taken by a rule that looks at no number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from diffkg_recbole.report.results import Row, Section
from diffkg_recbole.text import metric_name


@dataclass(frozen=True)
class Reference:
    """The row that the others are tested against.

    Args:
        rule: ``named``, ``validation`` or ``alphabetical``.
        why: how it was chosen, in words that follow the row's name.
    """

    row: Row
    rule: str
    why: str

    @property
    def sentence(self) -> str:
        """Which row it is, and how it was chosen."""
        return f"Reference: {self.row.label}, {self.why}."


def choose_reference(section: Section, wanted: str | None = None) -> Reference | None:
    """The row that the others are tested against, None if no row has the section's metric.

    Args:
        wanted: label of the row; a section without it chooses as if none were named.
    """
    named = section.row(wanted) if wanted is not None else None
    if named is not None:
        return Reference(named, "named", "as named in the call")
    measured = [row for row in section.rows if section.metric in row.metrics]
    if not measured:
        return None
    plain = [row for row in measured if row.kind == "plain"]
    among = ("the models without a knowledge graph" if plain else "all rows") + (
        "" if wanted is None else f" ('{wanted}' is not in this table)")
    best = best_by_validation(section, plain or measured)
    if best is not None:
        return Reference(best, "validation", f"best of {among} by validation "
                                             f"{metric_name(section.metric)}")
    first = min(plain or measured, key=lambda row: (row.label.casefold(), row.label))
    return Reference(first, "alphabetical",
                     f"first of {among} in alphabetical order, because there is no validation "
                     f"{metric_name(section.metric)} apart from the test; name another with "
                     "--reference")


def best_by_validation(section: Section, rows: Sequence[Row]) -> Row | None:
    """The row with the best validation score in the section's metric.

    None if no row has one, or if "validation" was the test part itself.
    """
    if section.test_selected:
        return None
    scored = [row for row in rows if section.metric in row.valid]
    return min(scored, key=lambda row: (-row.valid[section.metric].mean, row.label), default=None)
