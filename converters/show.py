"""What a conversion tells its user: tables, files, and what to do next."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from .audit import Finding
from .convert import Outcome
from .export import ExportOutcome

_LABELS = {
    "users": "users", "items": "items", "train": "training pairs (before the validation cut)",
    "test": "test pairs", "pairs": "distinct pairs", "overlap": "test pairs also in train",
    "triples": "triples", "distinct_triples": "distinct triples", "relations": "relations",
    "entities": "entity ids (items included)", "entities_in_graph": "entities in a triple",
    "items_in_graph": "items in a triple",
}


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", pad_edge=False)
    for column in columns:
        right = column in ("count", "of", "expected", "here")
        table.add_column(column, justify="right" if right else "left", no_wrap=right)
    return table


def _show_counts(console: Console, title: str, counts: dict[str, int]) -> None:
    table = _table(title, "what", "count")
    for key, count in counts.items():
        table.add_row(_LABELS[key], f"{count:,}")
    console.print(table)


def _show_audit(console: Console, findings: list[Finding]) -> None:
    table = _table("Audit", "what", "count", "of", "what it does to results")
    for finding in findings:
        meaning = finding.meaning if finding.count else "-"
        table.add_row(finding.label, f"{finding.count:,}", f"{finding.total:,}", meaning)
    console.print(table)


def _show_expected(console: Console, outcome: Outcome) -> None:
    source = escape(outcome.configuration.claims_source)
    if not outcome.configuration.claims:
        return
    if not outcome.differences:
        unstated = [_LABELS[key] for key in outcome.summary["counts"]
                    if key not in outcome.configuration.claims]
        console.print(f"All {len(outcome.configuration.claims)} counts that are expected "
                      f"({source}) are equal. Not stated there, so not checked: "
                      f"{', '.join(unstated) or 'nothing'}.")
        return
    table = _table("These counts differ from those expected", "what", "expected", "here")
    for key, (claimed, here) in outcome.differences.items():
        table.add_row(_LABELS[key], f"{claimed:,}", f"{here:,}")
    console.print(table)
    console.print(f"[bold]Not the same data[/bold] as expected ({source}): results are not "
                  "comparable with those published for it.")


def _say_files(console: Console, files: list[tuple[str, str]]) -> None:
    for name, remark in files:
        console.print(f"  {escape(name)}  {escape(remark)}", soft_wrap=True)


def show_conversion(console: Console, outcome: Outcome, find_configuration: bool) -> None:
    """Tables, written files and the next command.

    Args:
        console: where to print.
        outcome: what was done.
        find_configuration: whether a run finds the configuration file by the data set's name.
    """
    summary = outcome.summary
    name, parts = summary["name"], summary["split"]
    _show_counts(console, f"Data set {name}", summary["counts"])
    _show_audit(console, outcome.findings)
    _show_expected(console, outcome)
    for notice in (*outcome.notices, *outcome.configuration.notices):
        console.print(f"Note: {escape(notice)}.", soft_wrap=True)
    how = (parts["rule"] if parts["fraction"] is None
           else f"fraction {parts['fraction']:g}, seed {parts['seed']}")
    console.print(f"Split: {parts['train']:,} train, {parts['valid']:,} validation, "
                  f"{parts['test']:,} test pairs ({how}).")
    console.print("Written:")
    files = [(f"{outcome.folder}/{file}", f"{facts['rows']:,} rows" if "rows" in facts else "names")
             for file, facts in summary["files"].items()]
    state = "changed" if outcome.configuration.changed else "already right, left as it was"
    _say_files(console, [*files, (f"{outcome.folder}/dataset.json", "counts, sums, split, audit"),
                         (str(outcome.configuration.path), state)])
    command = f"python run_recbole_diffkg.py --dataset={name}"
    if not find_configuration:
        command += f" --config_files={outcome.configuration.path}"
    console.print(f"Next: {escape(command)}", soft_wrap=True)


def show_export(console: Console, outcome: ExportOutcome) -> None:
    """Sizes, notices and written files."""
    _show_counts(console, f"Data set {outcome.read.data.name}", outcome.summary["counts"])
    for notice in outcome.read.notices:
        console.print(f"Note: {escape(notice)}.", soft_wrap=True)
    if outcome.read.cut:
        rule = outcome.summary["split"]
        console.print(f"The source has one undivided .inter: {rule['fraction']:g} of each user's "
                      f"pairs became test (seed {rule['seed']}).", soft_wrap=True)
    console.print(f"Ids: {outcome.summary['ids']}.")
    console.print("Written:")
    _say_files(console, [(str(path), "") for path in sorted(outcome.folder.iterdir())])
    console.print("Next: point the authors' program at this folder, or convert it again with "
                  f"python -m converters authors {escape(str(outcome.folder))} <new name>",
                  soft_wrap=True)
