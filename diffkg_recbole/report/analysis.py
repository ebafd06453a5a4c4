"""Everything a report says, computed once from run folders; the outputs only write it down."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from diffkg_recbole.errors import UserError
from diffkg_recbole.report.charts import Epochs
from diffkg_recbole.report.differences import Comparer, Difference, Family
from diffkg_recbole.report.group_metrics import Groups, group_metrics
from diffkg_recbole.report.published import Published, published_for
from diffkg_recbole.report.readable import readable_runs
from diffkg_recbole.report.reference import Reference, choose_reference
from diffkg_recbole.report.results import Row, Section, reason, sections
from diffkg_recbole.report.verdict import Answer, questions, verdict
from diffkg_recbole.store import CorruptRunError, RunRecord
from diffkg_recbole.text import one_line

PROTOCOLS = {
    "clean": {
        "Test pairs": "duplicates, and pairs that are also in train or validation, removed",
        "Masked when ranking": "a user's training pairs, and validation pairs when testing",
        "Epoch chosen on": "the validation part, cut from train per user",
    },
    "authors": {
        "Test pairs": "as given",
        "Masked when ranking": "every training item of the user, even if it is a test positive "
                               "(which then can never be hit)",
        "Epoch chosen on": "the test part (test-selected)",
    },
    "recbole": {
        "Test pairs": "as given",
        "Masked when ranking": "training items of the user that are no test positives "
                               "(a positive that was trained on is an easy hit)",
        "Epoch chosen on": "the validation part",
    },
}
"""What each evaluation protocol does, for the reader of a table."""


@dataclass
class SectionReport:
    """One data set under one protocol, with everything that is said about it.

    Args:
        choice: the row that the others are tested against and how it was chosen, None
            without rows.
        families: over which comparisons p values were corrected, in words.
        comparisons: label -> comparison with the reference.
        answers: the questions of the verdict with their comparisons.
        sentences: the verdict.
        notes: what is missing, or weakens the numbers.
        audit: the data audit of the first run, None if it has none.
    """

    section: Section
    choice: Reference | None
    comparisons: Mapping[str, Difference]
    answers: Sequence[Answer]
    sentences: Sequence[str]
    published: Published
    groups: Sequence[Groups]
    epochs: Epochs
    audit: Mapping[str, Any] | None
    families: Sequence[Family] = ()
    notes: list[str] = field(default_factory=list)

    @property
    def reference(self) -> Row | None:
        """The row that the others are tested against."""
        return self.choice.row if self.choice else None

    @property
    def testing(self) -> list[str]:
        """What was tested against what, and over how many tests p values were corrected."""
        if not self.families or self.choice is None:
            return []
        return [self.choice.sentence, *(f"{family.sentence}." for family in self.families)]


@dataclass
class Report:
    """A title and its sections.

    Args:
        corrupt: folders that could not be read, with the reason.
    """

    title: str
    sections: list[SectionReport]
    corrupt: list[tuple[str, str]] = field(default_factory=list)


def build_report(
    records: Iterable[RunRecord],
    corrupt: Iterable[CorruptRunError] = (),
    *,
    title: str = "Leaderboard",
    metric: str | None = None,
    reference: str | None = None,
) -> Report:
    """Compute a report.

    Args:
        records: the runs, of any status.
        corrupt: folders that could not be read; they are listed.
        metric: the metric to sort and test by; by default Recall@20 where it was measured.
        reference: label of the row the others are tested against; by default chosen without
            the test part, see :func:`choose_reference`.

    Raises:
        IncomparableError: if runs that would share a table saw different data.
        UserError: if there is no run, none that can be read, or no run has the metric or the
            label asked for.
    """
    readable, damaged = readable_runs(records)
    broken = [*corrupt, *damaged]
    if not readable:
        if broken:
            raise UserError(f"none of {len(broken)} runs can be read; the first: "
                            f"{one_line(broken[0])}")
        raise UserError("there is no run to report; train something first, or loosen the filters")
    made = sections(readable, metric)
    _check_wishes(made, metric, reference)
    return Report(one_line(title), [_section_report(section, reference) for section in made],
                  [(one_line(error.folder.name), reason(error)) for error in broken])


def _check_wishes(made: Sequence[Section], metric: str | None, reference: str | None) -> None:
    known = list(dict.fromkeys(name for section in made for name in section.metrics))
    if metric is not None and metric not in known:
        raise UserError(f"no finished run has the metric '{metric}'; "
                        f"known: {', '.join(known) or 'none'}")
    labels = list(dict.fromkeys(row.label for section in made for row in section.rows))
    if reference is not None and reference not in labels:
        raise UserError(f"no finished run has the label '{reference}'; "
                        f"known: {', '.join(labels) or 'none'}")


def _section_report(section: Section, wanted: str | None) -> SectionReport:
    comparer = Comparer(section)
    choice = choose_reference(section, wanted)
    found = comparer.family([(row, choice.row) for row in section.rows
                             if row is not choice.row]) if choice else []
    asked = questions(section)
    replies = comparer.family([(question.row, question.against) for question in asked])
    answers = [Answer(question, reply) for question, reply in zip(asked, replies) if reply]
    unknown = [question for question, reply in zip(asked, replies) if not reply]
    comparisons = [one for one in found if one is not None]
    families = [Family(name, section.metric, size) for name, size in (
        (f"rows against {choice.row.label}" if choice else "", len(comparisons)),
        ("questions", len(answers))) if size]
    groups, group_notes = group_metrics(section)
    epochs, epoch_notes = _epochs(section)
    return SectionReport(
        section=section, choice=choice,
        comparisons={one.row.label: one for one in comparisons},
        answers=answers, sentences=verdict(section, answers, unknown, choice, comparisons),
        published=published_for(section.dataset, section.protocol,
                                section.fingerprint.get("counts") or {})
        if section.full_ranking else Published(),
        groups=groups, epochs=epochs, audit=_audit(section), families=families,
        notes=[*_notes(section, comparer.missing), *group_notes, *epoch_notes])


def _epochs(section: Section) -> tuple[dict[str, list[list[dict[str, Any]]]], list[str]]:
    epochs: dict[str, list[list[dict[str, Any]]]] = {}
    notes = []
    for row in section.rows:
        epochs[row.label] = []
        for run in row.runs:
            try:
                epochs[row.label].append(run.epochs())
            except CorruptRunError as error:
                epochs[row.label].append([])
                notes.append(f"No curve of {row.label}, seed {run.seed}: {error.reason}.")
    return epochs, notes


def _audit(section: Section) -> Mapping[str, Any] | None:
    """The audit of a knowledge model where there is one: it also counts the graph."""
    for row in sorted(section.rows, key=lambda row: row.kind != "graph"):
        try:
            return row.runs[0].audit()
        except CorruptRunError:
            continue
    return None


def _notes(section: Section, missing: Mapping[str, str]) -> list[str]:
    """What is missing, and what makes numbers less comparable than they look."""
    notes = [f"{label} is not tested against others: {why}." for label, why in missing.items()]
    notes += [f"{row.label} has no {section.metric}." for row in section.rows
              if section.metric not in row.metrics]
    seeds = sorted({len(row.runs) for row in section.rows})
    if len(seeds) > 1:
        notes.append(f"The rows have between {seeds[0]} and {seeds[-1]} seeds.")
    machines = {tuple(str((run.get("hardware") or {}).get(key))
                      for key in ("cpu", "cores", "gpus", "host")) for run in section.runs}
    if len(machines) > 1:
        notes.append("Runs come from different machines: their costs are not comparable.")
    commits = {str((run.get("code") or {}).get("commit")) for run in section.runs}
    if len(commits) > 1:
        notes.append(f"Runs come from {len(commits)} states of the code (commits).")
    if any((run.get("code") or {}).get("dirty") for run in section.runs):
        notes.append("Some runs were made with code that had changes beside its commit.")
    return notes
