"""The report on narrow terminals keeps names and whole numbers."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from diffkg_recbole.report import Report, print_report


def _printed(report: Report, width: int) -> list[str]:
    stream = io.StringIO()
    print_report(report, Console(file=stream, width=width))
    return stream.getvalue().splitlines()


LEAST_FIRST = ["p (Wilcoxon)", "p (t)", "95 % interval", "Δ Recall@20", "Seeds", "#", "NDCG@20"]


@pytest.mark.parametrize(("width", "at_least"), [(60, 3), (80, 2), (100, 1)])
def test_p_values_go_first_and_then_intervals(showcase: Report, width, at_least) -> None:
    lines = _printed(showcase, width)
    assert all(len(line) <= width for line in lines)
    head = next(place for place, line in enumerate(lines)
                if "Model" in line and "Recall@20" in line)
    end = next(place for place, line in enumerate(lines) if line.startswith("no room for: "))
    gone = [title for title in LEAST_FIRST if title not in lines[head]]
    assert gone == LEAST_FIRST[:len(gone)]
    assert len(gone) >= at_least
    assert lines[end].startswith(f"no room for: {', '.join(gone[:at_least])}")
    rows = showcase.sections[0].section.rows
    table = " ".join(lines[head + 1:end]).split()
    for word in " ".join(row.label for row in rows).split():
        assert word in table
    best = rows[0].metrics["recall@20"]
    assert f"{best.mean:.4f} ± {best.sd:.4f}" in lines[head + 1]


@pytest.mark.parametrize("width", [60, 80, 100])
def test_no_table_of_any_report_cuts_a_cell(published: Report, hostile: Report, width) -> None:
    for report in (published, hostile):
        assert not any("…" in line for line in _printed(report, width))
