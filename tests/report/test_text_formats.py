"""Markdown, CSV, JSON, LaTeX and the terminal."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from rich.console import Console

from diffkg_recbole.report import Report, print_report
from diffkg_recbole.report.csv_json import render_csv, render_json
from diffkg_recbole.report.latex import escape as latex_escape
from diffkg_recbole.report.latex import render_latex
from diffkg_recbole.report.markdown import escape as markdown_escape
from diffkg_recbole.report.markdown import fenced, render_markdown

REPORTS = ["showcase", "hostile", "published"]


@pytest.fixture(params=REPORTS)
def report(request: pytest.FixtureRequest) -> Report:
    return request.getfixturevalue(request.param)


# ---- Markdown ------------------------------------------------------------------------------------


def _cells(line: str) -> int:
    return len(re.findall(r"(?<!\\)\|", line)) - 1


def test_markdown_tables_are_rectangular(report: Report) -> None:
    blocks = re.findall(r"(?:^\|.*\n)+", render_markdown(report), flags=re.M)
    assert len(blocks) >= 4
    for block in blocks:
        assert len({_cells(line) for line in block.splitlines()}) == 1


def test_markdown_says_everything(showcase: Report) -> None:
    one = showcase.sections[0]
    content = render_markdown(showcase)
    best = one.section.rows[0]
    mean, sd = best.metrics["recall@20"].mean, best.metrics["recall@20"].sd
    assert f"**{mean:.4f} ± {sd:.4f}**" in content
    for expected in ("# A showcase", "<ins>", "### Questions", "### Cost", "Users by activity",
                     "Masked when ranking", one.section.fingerprint["all"], "learning\\_rate",
                     "embedding_size: 64", "diffkg-recbole run --model BPR --seed 1",
                     "torch: 2.13.0", "out of memory \\<b\\>"):
        assert expected in content or expected.replace("\\", "") in content


def test_markdown_of_hostile_text(hostile: Report) -> None:
    content = re.sub(r"^(`{3,}).*?^\1$", "", render_markdown(hostile), flags=re.M | re.S)
    assert "<img" not in content.replace("\\<img", "")
    assert "<script" not in content.replace("\\<script", "")
    assert "\x1b" not in content
    assert markdown_escape("a|b*_`<x>[y](z)") == r"a\|b\*\_\`\<x\>\[y\](z)"


def test_a_fence_is_longer_than_the_backticks_inside() -> None:
    assert fenced("a\n````\nb")[0] == "`````"


# ---- CSV and JSON --------------------------------------------------------------------------------


def test_csv_holds_full_precision(showcase: Report) -> None:
    lines = list(csv.DictReader(io.StringIO(render_csv(showcase))))
    rows = showcase.sections[0].section.rows
    assert [line["label"] for line in lines] == [row.label for row in rows]
    for line, row in zip(lines, rows):
        assert float(line["recall@20 mean"]) == row.metrics["recall@20"].mean
        assert float(line["recall@20 sd"]) == row.metrics["recall@20"].sd
        found = showcase.sections[0].comparisons.get(row.label)
        assert line["p t holm"] == ("" if found is None else repr(found.p_t))


def test_csv_has_no_formulas(hostile: Report) -> None:
    (section,) = hostile.sections
    section.section.dataset, before = "=HYPERLINK(1)", section.section.dataset
    try:
        lines = list(csv.DictReader(io.StringIO(render_csv(hostile))))
    finally:
        section.section.dataset = before
    assert {line["dataset"] for line in lines} == {"'=HYPERLINK(1)"}


def test_json_holds_everything(report: Report) -> None:
    value = json.loads(render_json(report))
    section = value["sections"][0]
    one = report.sections[0]
    assert [row["label"] for row in section["rows"]] == [row.label for row in one.section.rows]
    assert section["rows"][0]["metrics"]["recall@20"]["per_seed"] == list(
        one.section.rows[0].metrics["recall@20"].values)
    assert len(section["questions"]) == len(one.answers)
    assert section["verdict"] == list(one.sentences)
    assert len(section["published"]["sources"]) == len(one.published.columns)
    assert set(section["run_again"]) == {"commands", "common", "deviations", "versions",
                                         "hardware", "code"}


# ---- LaTeX ---------------------------------------------------------------------------------------


def _check_latex(source: str) -> None:
    """Braces, math and environments are balanced, and every table row has all its cells."""
    stack: list[str] = []
    columns = 0
    for number, raw in enumerate(source.splitlines(), start=1):
        line = re.sub(r"(?<!\\)%.*", "", raw)
        line = line.replace(r"\\", "\0")
        bare = re.sub(r"\\[{}$&#_%]", "", line)
        assert bare.count("$") % 2 == 0, f"line {number}: math is open"
        depth = 0
        for letter in bare:
            depth += (letter == "{") - (letter == "}")
            assert depth >= 0, f"line {number}: brace closed too early"
        assert depth == 0, f"line {number}: brace is open"
        for kind, name in re.findall(r"\\(begin|end)\{(\w+)\}", bare):
            if kind == "begin":
                stack.append(name)
            else:
                assert stack.pop() == name, f"line {number}: {name} closes another environment"
        rule = re.search(r"\\begin\{tabular\}\{([lrc]+)\}", bare)
        columns = len(rule.group(1)) if rule else columns
        if bare.rstrip().endswith("\0"):
            assert stack == ["table", "tabular"]
            assert bare.count("&") + 1 == columns, f"line {number}: {bare}"
    assert stack == []


def test_latex_is_balanced(report: Report) -> None:
    source = render_latex(report)
    assert source.count(r"\begin{table}") == 1
    _check_latex(source)


@pytest.mark.parametrize("broken", [
    "\\textbf{x", "x}", "$x", "\\begin{table}", "\\begin{tabular}{ll}\na & b & c \\\\"])
def test_the_latex_check_finds_faults(broken: str) -> None:
    with pytest.raises(AssertionError):
        _check_latex(broken)


def test_latex_marks(showcase: Report) -> None:
    one = showcase.sections[0]
    lines = render_latex(showcase).splitlines()
    best = next(line for line in lines if line.strip().startswith(f"{one.section.rows[0].label} &"))
    assert rf"\textbf{{{one.section.rows[0].metrics['recall@20'].mean:.4f} $\pm$ " in best
    worst = next(line for line in lines if line.strip().startswith("Pop &"))
    assert r"$^{\downarrow}$" in worst
    assert sum(r"\underline{" in line for line in lines) >= 1
    assert latex_escape("a_b & 50% {x} #1 \\end") == (
        r"a\_b \& 50\% \{x\} \#1 \textbackslash{}end")


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_latex_compiles(report: Report, tmp_path: Path) -> None:
    (tmp_path / "table.tex").write_text(
        "\\documentclass{article}\\usepackage{booktabs}\\usepackage[T1]{fontenc}\n"
        "\\begin{document}\n" + render_latex(report) + "\\end{document}\n", encoding="utf-8")
    done = subprocess.run(["pdflatex", "-halt-on-error", "table.tex"], cwd=tmp_path,
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]


# ---- terminal ------------------------------------------------------------------------------------


def _printed(report: Report) -> str:
    stream = io.StringIO()
    print_report(report, Console(file=stream, width=200))
    return stream.getvalue()


def test_terminal_shows_verdict_table_and_failures(showcase: Report) -> None:
    printed = _printed(showcase)
    for row in showcase.sections[0].section.rows:
        line = next(line for line in printed.splitlines() if f" {row.label}  " in line)
        assert f"{row.metrics['recall@20'].mean:.4f} ± {row.metrics['recall@20'].sd:.4f}" in line
    assert showcase.sections[0].sentences[0][:60] in printed
    assert "failed: MCCLK, seed 1: RuntimeError: out of memory <b>(5.9 GB)</b>" in printed


def test_terminal_is_not_steered(hostile: Report) -> None:
    printed = _printed(hostile)
    assert "\x1b" not in printed
    assert "unreadable: torn <b>" in printed


def test_terminal_marks_test_selection_and_sources(published: Report) -> None:
    printed = _printed(published)
    assert "last-fm, protocol authors (test-selected)" in printed
    assert "published, not measured here" in printed
    assert "doubts: epoch chosen on the test part" in printed


@pytest.mark.parametrize("render", [render_markdown, render_csv, render_json, render_latex])
def test_equal_runs_make_equal_files(showcase: Report, render: object) -> None:
    assert render(showcase) == render(showcase)  # type: ignore[operator]
