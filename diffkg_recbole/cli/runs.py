"""``diffkg-recbole runs``: list the runs of a store, show one, verify one."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from diffkg_recbole.console import FittingTable, escaped, wide_console
from diffkg_recbole.files import json_text
from diffkg_recbole.store import DEFAULT_STORE, CorruptRunError, RunRecord, RunStore
from diffkg_recbole.store.reading import STATUSES

_MARKS = {"finished": "green", "running": "cyan", "interrupted": "yellow", "failed": "red"}
_EXAMPLES = """\
examples:
  %(prog)s list --model DiffKG --status finished
  %(prog)s show 3f9a        any beginning of an id, or a folder name
  %(prog)s verify 3f9a      evaluate the checkpoint again and compare the test metrics
"""


def parser(prog: str) -> argparse.ArgumentParser:
    """Sub-commands and flags."""
    top = argparse.ArgumentParser(prog=prog, description="Look at the runs of a store.",
                                  epilog=_EXAMPLES, allow_abbrev=False,
                                  formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = top.add_subparsers(dest="command", required=True, metavar="list|show|verify")
    shared = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    shared.add_argument("--store", default=DEFAULT_STORE, help="folder of runs (%(default)s)")
    listing = commands.add_parser("list", parents=[shared], allow_abbrev=False,
                                  help="one line per run")
    for name in ("model", "dataset", "protocol", "label"):
        listing.add_argument(f"--{name}", help=f"only runs of this {name}")
    listing.add_argument("--status", choices=STATUSES, help="only runs in this state")
    listing.add_argument("--metric", default="recall@20", help="test metric shown (%(default)s)")
    listing.add_argument("--json", action="store_true", help="run records as JSON lines")
    for name, text in (("show", "everything about one run"),
                       ("verify", "evaluate the checkpoint again and compare")):
        one = commands.add_parser(name, parents=[shared], help=text, allow_abbrev=False)
        one.add_argument("run", help="id, beginning of an id, or folder name")
    return top


def main(argv: Sequence[str], prog: str = "diffkg-recbole runs") -> int:
    """Returns 0, or 1 if runs are corrupt (list) or the metrics differ (verify)."""
    arguments = parser(prog).parse_args(list(argv))
    store = RunStore(arguments.store)
    if arguments.command == "list":
        return _list(store, arguments)
    record = store.find(arguments.run)
    return _show(record) if arguments.command == "show" else _verify(record)


def _list(store: RunStore, arguments: argparse.Namespace) -> int:
    filters = {name: getattr(arguments, name) for name in
               ("model", "dataset", "protocol", "label", "status")}
    wanted = {name: value for name, value in filters.items() if value is not None}
    records, corrupt = store.scan()
    chosen = [record for record in records if record.matches(**wanted)]
    if arguments.json:
        for record in chosen:
            print(json_text({**record.data, "status": record.status,
                             "folder": record.folder.name}))
    else:
        wide_console().print(_listing(chosen, arguments.metric))
        print(f"{len(chosen)} of {len(records)} runs in {store.root}")
    for error in corrupt:
        print(f"warning: {error}", file=sys.stderr)
    return 1 if corrupt else 0


def _listing(records: Sequence[RunRecord], metric: str) -> FittingTable:
    table = FittingTable(
        ["id", "run", "dataset", "protocol", "seed", "split", "status", "epochs", metric,
         "seconds"],
        left=["id", "protocol", "status"], names=["run", "dataset"],
        drop=["split", "seconds", "epochs", "protocol", "status", "seed", metric, "id"])
    for record in sorted(records, key=lambda r: (r.dataset, r.protocol or "", r.label,
                                                 r.get("split_seed") or 0, r.seed or 0)):
        status = record.status
        seconds = (record.get("cost") or {}).get("seconds_total")
        table.add_row(
            escaped(record.id[:8]), escaped(record.label), escaped(record.dataset),
            escaped(record.protocol or "-"),
            _text(record.seed), _text(record.get("split_seed")),
            f"[{_MARKS[status]}]{status}[/]",
            _epochs(record),
            _text(record.test.get(metric), ".4f"), _text(seconds, ",.1f"))
    return table


def _epochs(record: RunRecord) -> str:
    """How many were trained; of an unfinished run, as its log says."""
    if "epochs_run" in record.data:
        return str(record["epochs_run"])
    try:
        return str(len(record.epochs()))
    except CorruptRunError:
        return "?"


def _show(record: RunRecord) -> int:
    console = wide_console()
    console.print(f"[bold]{escaped(record.label)}[/] on {escaped(record.dataset)}", highlight=False)
    head = {"folder": str(record.folder), "id": record.id, "status": record.status}
    shown = ("error", "protocol", "kg", "variant", "seed", "split_seed", "started", "finished")
    head.update({key: record.get(key) for key in shown if record.get(key) is not None})
    if record.finished:
        chosen = "the test part" if record.get("test_selected") else "validation data"
        head["epoch"] = f"{record['epoch']} of {record['epochs_run']} run, chosen on {chosen}"
    _print_mapping(console, "", head)
    if record.test or record.valid:
        console.print(_metrics(record))
    for title in ("cost", "fingerprint", "versions", "hardware", "code"):
        _print_mapping(console, title, record.get(title))
    _print_mapping(console, "epochs", _epoch_notes(record))
    for title, read in (("data audit", record.audit), ("configuration", record.config)):
        name = "audit.json" if title == "data audit" else "config.yaml"
        if (record.folder / name).exists():
            set_values = {key: value for key, value in read().items() if value is not None}
            _print_mapping(console, title, set_values)
    files = {path.name: f"{path.stat().st_size:,} bytes" for path in
             sorted(record.folder.iterdir()) if not path.name.startswith(".")}
    _print_mapping(console, "files", files)
    if record.get("command"):
        console.print("[bold]command[/]\n  "
                      + escaped(" ".join(map(str, record["command"]))), highlight=False,
                      soft_wrap=True)
    return 0


def _metrics(record: RunRecord) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("metric")
    for part in ("valid", "test"):
        table.add_column(part, justify="right")
    for name in dict.fromkeys([*record.test, *record.valid]):
        table.add_row(escaped(name), _text(record.valid.get(name), ".4f"),
                      _text(record.test.get(name), ".4f"))
    return table


def _epoch_notes(record: RunRecord) -> dict[str, Any]:
    """First, best and last epoch in a line each."""
    rows = record.epochs()
    if not rows:
        return {}
    by_number = {row["epoch"]: row for row in rows}
    picked = {"first": rows[0], "chosen": by_number.get(record.get("epoch")), "last": rows[-1]}
    notes = {}
    for name, row in picked.items():
        if row:
            parts = {**(row.get("losses") or {}), **(row.get("valid") or {})}
            numbers = ", ".join(f"{key} {value:.4f}" for key, value in parts.items()
                                if isinstance(value, (int, float)))
            notes[name] = f"epoch {row['epoch']}: {numbers}"
    return notes


def _print_mapping(console: Console, title: str, values: Mapping[str, Any] | None) -> None:
    if not values:
        return
    if title:
        console.print(f"[bold]{title}[/]")
    width = max(len(str(key)) for key in values)
    for key, value in values.items():
        as_json = isinstance(value, (dict, list)) or not str(value).isprintable()
        text = json_text(value) if as_json else value
        console.print(f"  {key!s:<{width}}  {text}", highlight=False, markup=False,
                      soft_wrap=True)


def _verify(record: RunRecord) -> int:
    """Evaluate the checkpoint anew; says which stored numbers it confirms."""
    from diffkg_recbole.quick_start import evaluate_checkpoint
    from diffkg_recbole.store.verify import verify

    outcome = verify(record, evaluate_checkpoint)
    table = Table(box=None, pad_edge=False)
    for name in ("metric", "stored", "from"):
        table.add_column(name, justify="left" if name != "stored" else "right")
    table.add_column("found", justify="right")
    table.add_column("")
    for check in outcome:
        table.add_row(escaped(check.metric), f"{check.stored:.8f}", check.source,
                      _text(check.found, ".8f"),
                      "[green]equal[/]" if check.equal else "[red]different[/]")
    wide_console().print(table)
    bad = sum(not check.equal for check in outcome)
    print(f"{record.folder.name}: {len(outcome) - bad} of {len(outcome)} checks equal"
          + ("" if bad else "; the run is confirmed"))
    return 1 if bad else 0


def _text(value: Any, form: str = "") -> str:
    return "-" if value is None else format(value, form)
