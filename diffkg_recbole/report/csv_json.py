"""The report as data: CSV (a line a row) and JSON (everything, at full precision)."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

from diffkg_recbole.plain import plain
from diffkg_recbole.report.analysis import Report, SectionReport
from diffkg_recbole.report.differences import KINDS, LEVEL, Difference
from diffkg_recbole.report.published import METRICS as PUBLISHED_METRICS
from diffkg_recbole.report.rerun import recipe
from diffkg_recbole.report.results import COSTS, Measure, Row
from diffkg_recbole.text import one_line

JSON_FORMAT = 1
_FORMULA_STARTS = tuple("=+-@＝＋－＠")  # wide forms too: some spreadsheets read them alike


def render_json(report: Report) -> str:
    """Everything the report says, as JSON."""
    value = {
        "format": JSON_FORMAT, "title": report.title,
        "sections": [_section(section) for section in report.sections],
        "unreadable": [{"folder": folder, "reason": reason} for folder, reason in report.corrupt],
    }
    return json.dumps(plain(value), indent=1, allow_nan=False) + "\n"


def _section(report: SectionReport) -> dict[str, Any]:
    section = report.section
    made = recipe(section) if section.rows else None
    return {
        "dataset": section.dataset, "protocol": section.protocol_name,
        "evaluation": section.evaluation, "candidates": section.candidates,
        "split_seed": section.split_seed, "test_selected": section.test_selected,
        "metric": section.metric, "fingerprint": section.fingerprint, "audit": report.audit,
        "reference": report.reference.label if report.reference else None,
        "reference_chosen": {"rule": report.choice.rule, "why": report.choice.why}
        if report.choice else None,
        "families": [{"comparisons_of": one.name, "metric": one.metric, "comparisons": one.size,
                      "kinds_of_test": KINDS, "level": LEVEL,
                      "correction": "Holm, over the comparisons, for each kind of test"}
                     for one in report.families],
        "verdict": list(report.sentences),
        "rows": [_row(report, row) for row in section.rows],
        "questions": [{"claim": answer.question.claim, "topic": answer.question.topic,
                       **_comparison(answer.comparison)} for answer in report.answers],
        "groups": [{"title": one.title, "factor": one.factor, "metric": one.metric,
                    "groups": one.names, "sizes": one.sizes, "sizes_count": one.counted,
                    "means": one.means, "sds": one.sds} for one in report.groups],
        "published": {
            "sources": [{"source": one.source, "protocol": one.protocol, "doubts": one.doubts,
                         "values": one.values} for one in report.published.columns],
            "cautions": report.published.cautions},
        "notes": report.notes,
        "without_result": [vars(run) for run in section.unfinished],
        "run_again": vars(made) if made else None,
    }


def _row(report: SectionReport, row: Row) -> dict[str, Any]:
    comparison = report.comparisons.get(row.label)
    return {
        "label": row.label, "model": row.model, "kg": row.kg, "variant": row.variant,
        "kind": row.kind, "seeds": row.seeds, "runs": [run.id for run in row.runs],
        "metrics": {name: _measure(one) for name, one in row.metrics.items()},
        "valid": {name: _measure(one) for name, one in row.valid.items()},
        "cost": {name: _measure(one) for name, one in row.cost.items()},
        "against_reference": _comparison(comparison) if comparison else None,
    }


def _measure(measure: Measure) -> dict[str, Any]:
    return {"mean": measure.mean, "sd": measure.sd, "per_seed": measure.values}


def _comparison(one: Difference) -> dict[str, Any]:
    test = one.test
    return {
        "row": one.row.label, "reference": one.reference.label, "metric": test.metric,
        "users": test.users, "difference": one.difference, "interval_95": test.interval,
        "t": test.t, "p_t": test.p_t, "p_t_holm": one.p_t, "w": test.w,
        "p_wilcoxon": test.p_wilcoxon, "p_wilcoxon_holm": one.p_wilcoxon,
        "effect_size": test.effect_size, "finding": one.direction,
    }


def render_csv(report: Report) -> str:
    """One line a row of the leaderboard; unknown values are empty."""
    lines = [_csv_line(section, row) for section in report.sections
             for row in section.section.rows]
    fields = list(dict.fromkeys(name for line in lines for name in line))
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(map(csv_cell, fields))
    for line in lines:
        writer.writerow([csv_cell(line.get(name)) for name in fields])
    return buffer.getvalue()


def csv_cell(value: Any) -> Any:
    """Text on one line that no spreadsheet takes for a formula; numbers stay numbers."""
    if not isinstance(value, str):
        return value
    text = one_line(value)
    return "'" + text if text.startswith(_FORMULA_STARTS) else text


def _csv_line(report: SectionReport, row: Row) -> dict[str, Any]:
    section = report.section
    comparison = report.comparisons.get(row.label)
    line: dict[str, Any] = {
        "dataset": section.dataset, "protocol": section.protocol_name,
        "split_seed": section.split_seed, "test_selected": section.test_selected,
        "fingerprint": section.fingerprint.get("all"), "label": row.label,
        "model": row.model, "kg": row.kg, "variant": row.variant, "kind": row.kind,
        "seeds": " ".join(map(str, row.seeds)),
    }
    for name in section.metrics:
        measure = row.metrics.get(name)
        line[f"{name} mean"] = None if measure is None else measure.mean
        line[f"{name} sd"] = None if measure is None else measure.sd
    line["reference"] = report.reference.label if report.reference else None
    line["reference chosen"] = report.choice.rule if report.choice else None
    for name, value in (("difference", "difference"), ("interval low", "low"),
                        ("interval high", "high"), ("p t holm", "p_t"),
                        ("p wilcoxon holm", "p_wilcoxon"), ("finding", "direction")):
        line[name] = None if comparison is None else getattr(comparison, value)
    line["holm over"] = None if comparison is None else len(report.comparisons)
    for name in COSTS:
        line[name] = row.cost[name].mean if name in row.cost else None
    if row.kind in ("plain", "graph"):
        for number, source in enumerate(report.published.columns, start=1):
            for name in PUBLISHED_METRICS:
                line[f"published [{number}] {name}"] = source.values.get(row.model, {}).get(name)
            line[f"published [{number}] source"] = source.source
    return line
