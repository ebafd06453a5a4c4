"""Tables of the results, for the terminal and as Markdown."""

from __future__ import annotations

from typing import Any

Row = list[str]


def phase_table(rows: list[dict[str, Any]], ceilings: dict[str, float]) -> list[Row]:
    """A row per pair: seconds of both forms, ratios, target, and distance from the floor.

    Where only a share of the rows was timed, "all rows" is the ratio for all of them, what is
    done once counted once. A target is judged by that ratio, else by that of processor time on
    one thread (which other programs disturb least), of elapsed time on several.
    """
    table = [["phase", "data", "plain", "ours", "ratio", "ratio of best", "ratio of CPU",
              "all rows", "target", "floor", "ours / floor"]]
    for row in rows:
        target, floor = row["target"], floor_of(row, ceilings)
        whole = row["whole_ratio"]
        reached = whole or row["ratio"]["cpu_best" if row["threads"] == 1 else "median"]
        met = "" if target is None else f"{target:g} " + ("met" if reached >= target else "missed")
        table.append([
            row["phase"], row["data"], seconds(row["plain"]["median"]),
            seconds(row["ours"]["median"]), f"{row['ratio']['median']:.2f}",
            f"{row['ratio']['best']:.2f}", f"{row['ratio']['cpu_best']:.2f}",
            "" if whole is None else f"{whole:.2f}", met,
            "" if floor is None else seconds(floor),
            "" if not floor else f"{undisturbed(row) / floor:.1f}",
        ])
    return table


def undisturbed(row: dict[str, Any]) -> float:
    """Best seconds of ours: on one thread the processor's, which leave out the time that other
    programs on the machine had the core."""
    ours = row["ours"]
    return min(ours["best"], ours["cpu_best"]) if row["threads"] == 1 else ours["best"]


def floor_of(row: dict[str, Any], ceilings: dict[str, float]) -> float | None:
    """Least seconds of a phase on this machine: operations at the rate of sgemm, or bytes at
    the rate of copying, whichever takes longer."""
    if row["work"] is None:
        return None
    work = row["work"]
    return max(work["operations"] / ceilings["sgemm"], work["traffic"] / ceilings["copy"])


def work_table(rows: list[dict[str, Any]]) -> list[Row]:
    """Operations and bytes of each phase, and the rates reached."""
    table = [["phase", "data", "10^9 operations", "MB", "10^9 operations/s", "GB/s"]]
    for row in rows:
        if row["work"] is not None:
            operations, traffic = row["work"]["operations"], row["work"]["traffic"]
            best = undisturbed(row)
            table.append([row["phase"], row["data"], f"{operations / 1e9:.2f}",
                          f"{traffic / 1e6:.1f}", f"{operations / best / 1e9:.1f}",
                          f"{traffic / best / 1e9:.1f}"])
    return table


def epoch_table(rows: list[dict[str, Any]]) -> list[Row]:
    """Seconds of the parts of an epoch, plain and ours (the last timed run)."""
    table = [["data", "form", "diffusion", "generation, rebuilding", "recommender", "evaluation",
              "sum"]]
    for row in rows:
        for form in ("plain", "ours"):
            parts = row["parts"][form]
            values = [parts[n] for n in ("diffusion", "rebuilding", "recommender", "evaluation")]
            table.append([row["data"], form, *map(seconds, values), seconds(sum(values))])
    return table


def baseline_table(rows: list[dict[str, Any]]) -> list[Row]:
    """Seconds an epoch of each model."""
    table = [["model", "data", "training", "evaluation"]]
    for row in rows:
        cells = [row["error"], ""] if "error" in row else [
            seconds(row["train"]), seconds(row["evaluation"])]
        table.append([row["model"], row["data"], *cells])
    return table


def large_table(results: list[dict[str, Any]]) -> list[Row]:
    """Stages of the epochs on large data."""
    table = [["data", "stage", "seconds", "CPU seconds", "peak memory (MB)", "remark"]]
    for result in results:
        name = result["data"] + ("" if result["real"] else " (generated)")
        for stage in result["stages"]:
            if "error" in stage:
                table.append([name, stage["stage"], "", "", "", stage["error"]])
                continue
            remark = ""
            if stage["stage"] == "recommender":
                remark = _extrapolated(stage, stage["steps"], stage["of"], "steps")
            elif "rows" in stage:
                remark = _extrapolated(stage, stage["rows"], stage["of_rows"], "rows")
            table.append([name, stage["stage"], f"{stage['seconds']:.1f}", f"{stage['cpu']:.1f}",
                          f"{stage['peak'] / 1e6:.0f}", remark])
    return table


def _extrapolated(stage: dict[str, Any], done: int, total: int, what: str) -> str:
    if done == total:
        return f"all {total:,} {what}"
    whole = stage["seconds"] * total / done
    return f"{done:,} of {total:,} {what}; all: {seconds(whole)} (extrapolated)"


def growth_table(rows: list[dict[str, Any]], slopes: dict[str, dict[str, float]]) -> list[Row]:
    """Seconds (and memory) of each phase by number of entities, with the fitted exponents."""
    sizes = sorted({row["entities"] for row in rows})
    table = [["phase", *(f"N = {size:,}" for size in sizes), "time ~", "memory ~"]]
    for name, slope in slopes.items():
        of_phase = {row["entities"]: row for row in rows if row["stage"] == name}
        cells = [f"{seconds(of_phase[n]['seconds'])}, {of_phase[n]['memory'] / 1e6:.0f} MB"
                 if n in of_phase else "" for n in sizes]
        table.append([name, *cells, *(f"N^{slope[key]:.2f}" if key in slope else ""
                                      for key in ("seconds", "memory"))])
    return table


def seconds(value: float) -> str:
    """A duration with three digits."""
    if value >= 1:
        return f"{value:.3g} s" if value < 1000 else f"{value:.0f} s"
    return f"{value * 1e3:.3g} ms" if value >= 1e-3 else f"{value * 1e6:.3g} µs"


def markdown(table: list[Row]) -> str:
    """A table as Markdown, columns aligned for reading as text too."""
    widths = [max(len(row[c]) for row in table) for c in range(len(table[0]))]
    lines = ["| " + " | ".join(cell.ljust(w) for cell, w in zip(row, widths)) + " |"
             for row in table]
    lines.insert(1, "|" + "|".join("-" * (w + 2) for w in widths) + "|")
    return "\n".join(lines)
