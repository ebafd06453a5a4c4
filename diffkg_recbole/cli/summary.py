"""What a run says when it is over: numbers, cost, where things lie, what to try next."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from diffkg_recbole.config.general import GeneralSettings
from diffkg_recbole.config.recbole_keys import CHECKS
from diffkg_recbole.console import FittingTable, escaped, wide_console
from diffkg_recbole.store import DEFAULT_STORE
from diffkg_recbole.text import metric_name


def _metric_table(record: Mapping[str, Any]) -> FittingTable:
    # 0: a metric of whole rankings has no cut-off, and stands in the first column of its part.
    cutoffs = sorted({int(name.split("@")[1]) for name in record["test"] if "@" in name}) or [0]
    valid, test = ([f"{part} @{k}" if k else part for k in cutoffs] for part in ("valid", "test"))
    table = FittingTable(["metric", *valid, *test], names=["metric"], drop=[*valid, *test[:-1]])
    for metric in dict.fromkeys(name.split("@")[0] for name in record["test"]):
        values = [record[part].get(f"{metric}@{k}",
                                   record[part].get(metric) if k == cutoffs[0] else None)
                  for part in ("valid", "test") for k in cutoffs]
        cells = ["-" if value is None else f"{value:.4f}" for value in values]
        table.add_row(escaped(metric_name(metric)), *cells)
    return table


def next_commands(record: Mapping[str, Any], folder: Path) -> list[str]:
    """What to try after a run: the runs of its store, and another model on the same terms.

    Of the words that made the run, those are carried that hold for every model.
    """
    general = (set(GeneralSettings.rules()) | set(CHECKS)) - {"label", "seed"}
    kept = [word for word in map(str, record.get("command") or [])
            if word.startswith("--") and word[2:].partition("=")[0] in general]
    store = [] if str(folder.parent) == DEFAULT_STORE else ["--store", str(folder.parent)]
    other = "LightGCN" if record.get("model") != "LightGCN" else "BPR"
    commands = [["runs", "list", *store],
                ["train", f"--model={other}", f"--dataset={record['dataset']}", *kept, *store]]
    return [shlex.join(["diffkg-recbole", *words]) for words in commands]


def print_summary(record: Mapping[str, Any], folder: Path, console: Console | None = None) -> None:
    """Print the summary of a finished run to the terminal."""
    console = console or wide_console()
    cost = record["cost"]
    console.print()
    console.print(f"[bold]{escaped(record['label'])}[/] on {escaped(record['dataset'])}, protocol "
                  f"{record['protocol']}, seed {record['seed']}", highlight=False)
    console.print(_metric_table(record))
    chosen = "the test part (test-selected)" if record["test_selected"] else "validation data"
    gpu = f", {cost['peak_gpu_mb']:,.0f} MB on the GPU" if cost["peak_gpu_mb"] else ""
    per_epoch = cost["seconds_per_epoch"]
    pace = f" ({per_epoch:.2f} s an epoch of training)" if per_epoch is not None else ""
    lines = [
        f"epoch {record['epoch']} of {record['epochs_run']} run, chosen on {chosen}",
        f"{cost['seconds_total']:.1f} s{pace}, peak memory {cost['peak_host_mb']:,.0f} MB{gpu}",
        f"checkpoint     {folder / 'model.pth'}",
        f"configuration  {folder / 'config.yaml'}",
        f"metrics        {folder / 'run.json'}",
    ]
    following = [f"next: {first}" if place == 0 else f"      {first}"
                 for place, first in enumerate(next_commands(record, folder))]
    console.print("\n".join(lines + following), highlight=False, markup=False, soft_wrap=True)
