"""The row that others are tested against is settled without a look at the test part."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from diffkg_recbole.report import Report, SectionReport, build_report
from diffkg_recbole.report.csv_json import render_csv, render_json
from diffkg_recbole.report.html import render_html
from diffkg_recbole.report.latex import render_latex
from diffkg_recbole.report.markdown import render_markdown
from diffkg_recbole.store import RunStore
from tests.report.fake_runs import FakeRun, write_fake_run
from tests.report.test_html import Page
from tests.report.test_text_formats import _printed

SMALL = FakeRun(users=40, items=30, epochs=3)


def _report(store: Path, *runs: FakeRun, reference: str | None = None) -> Report:
    for fake in runs:
        write_fake_run(store, fake)
    return build_report(RunStore(store).scan().records, reference=reference)


def _section(store: Path, *runs: FakeRun, reference: str | None = None) -> SectionReport:
    return _report(store, *runs, reference=reference).sections[0]


BEST_ON_TEST = replace(SMALL, model="EASE", quality=0.5, valid_factor=0.1)
BEST_ON_VALIDATION = replace(SMALL, model="SGL", quality=0.2, valid_factor=2.0)
KNOWLEDGE = replace(SMALL, model="KGAT", quality=0.6, kg="original", valid_factor=3.0)


def test_the_best_model_without_a_graph_on_validation_data(tmp_path: Path) -> None:
    one = _section(tmp_path, BEST_ON_TEST, BEST_ON_VALIDATION, KNOWLEDGE)
    assert one.choice.rule == "validation"
    assert one.reference.label == "SGL"
    assert one.section.rows[0].label != "SGL"  # the order of the table is the test's
    assert one.choice.sentence == ("Reference: SGL, best of the models without a knowledge graph "
                                   "by validation Recall@20.")


def test_without_a_plain_model_every_row_may_be_the_reference(tmp_path: Path) -> None:
    one = _section(tmp_path, KNOWLEDGE, replace(KNOWLEDGE, model="KGIN", valid_factor=0.1))
    assert (one.reference.label, one.choice.rule) == ("KGAT", "validation")


def test_a_named_row_wins_and_a_table_without_it_says_so(tmp_path: Path) -> None:
    report = _report(tmp_path, BEST_ON_TEST, BEST_ON_VALIDATION,
                     replace(SMALL, dataset="second"), reference="EASE")
    first, second = report.sections
    assert (first.reference.label, first.choice.rule) == ("EASE", "named")
    assert (second.reference.label, second.choice.rule) == ("BPR", "validation")
    assert "('EASE' is not in this table)" in second.choice.sentence


@pytest.mark.parametrize("change", [
    {"protocol": "authors"},  # its "validation" is the test part
    {"valid_factor": float("nan")}], ids=["authors", "no validation scores"])
def test_without_validation_scores_the_rule_looks_at_no_number(
    tmp_path: Path, change: dict
) -> None:
    runs = [replace(run, **change) for run in (BEST_ON_TEST, BEST_ON_VALIDATION, SMALL)]
    for fake in runs:
        folder = write_fake_run(tmp_path, fake)
        if "valid_factor" in change:
            record = json.loads((folder / "run.json").read_text())
            (folder / "run.json").write_text(json.dumps({**record, "valid": {}}))
            (folder / "epochs.jsonl").unlink()
    one = build_report(RunStore(tmp_path).scan().records).sections[0]
    assert (one.reference.label, one.choice.rule) == ("BPR", "alphabetical")
    assert "in alphabetical order, because there is no validation Recall@20" in one.choice.sentence
    assert one.answers == []
    assert "Against BPR, " in " ".join(one.sentences)


def test_the_test_scores_have_no_say(tmp_path: Path) -> None:
    """Whatever the test scores are, equal validation scores choose the same row."""
    chosen = set()
    for place, qualities in enumerate(((0.1, 0.5, 0.3), (0.5, 0.1, 0.3), (0.3, 0.2, 0.5))):
        store = tmp_path / str(place)
        for model, quality, score in zip(("BPR", "EASE", "SGL"), qualities, (0.2, 0.4, 0.3)):
            folder = write_fake_run(store, replace(SMALL, model=model, quality=quality))
            record = json.loads((folder / "run.json").read_text())
            record["valid"]["recall@20"] = score
            (folder / "run.json").write_text(json.dumps(record))
        chosen.add(build_report(RunStore(store).scan().records).sections[0].reference.label)
    assert chosen == {"EASE"}


def test_every_output_says_which_row_how_it_was_chosen_and_over_what_was_corrected(
    showcase: Report,
) -> None:
    one = showcase.sections[0]
    assert [family.size for family in one.families] == [13, 7]
    why = "best of the models without a knowledge graph by validation Recall@20"
    rows = "13 comparisons in Recall@20, each by a paired t-test and a Wilcoxon signed-rank test"
    for text in (" ".join(_printed(showcase).split()), Page(render_html(showcase)).text,
                 render_markdown(showcase).replace("\\", "")):
        assert f"Reference: EASE, {why}." in text
        assert f"Rows against EASE: {rows}; Holm's correction over the 13 p values of" in text
        assert "Questions: 7 comparisons in Recall@20" in text
    assert f"Reference: EASE, {why}." in render_latex(showcase)
    assert "Holm-corrected over 13 comparisons" in render_latex(showcase)
    assert "holm over" in render_csv(showcase).splitlines()[0]
    value = json.loads(render_json(showcase))["sections"][0]
    assert value["reference_chosen"] == {"rule": "validation", "why": why}
    assert [(family["comparisons_of"], family["comparisons"], family["metric"])
            for family in value["families"]] == [
        ("rows against EASE", 13, "recall@20"), ("questions", 7, "recall@20")]


def test_sampled_evaluation_has_a_table_and_a_name_of_its_own(tmp_path: Path) -> None:
    sampled = {"eval_args": {"mode": {"valid": "uni100", "test": "uni100"}}}
    report = _report(tmp_path, BEST_ON_TEST, replace(BEST_ON_VALIDATION, config=sampled))
    assert [[row.label for row in one.section.rows] for one in report.sections] == [
        ["EASE"], ["SGL"]]
    full, other = (one.section for one in report.sections)
    assert (full.protocol_name, other.protocol_name) == ("clean", "clean, uni100")
    words = "100 sampled items per test pair, drawn uniformly"
    alone = build_report(other.runs)
    for text in (" ".join(_printed(alone).split()), Page(render_html(alone)).text,
                 render_markdown(alone), render_latex(alone), render_json(alone)):
        assert words in text
        assert "every item" not in text
    assert ",clean\\, uni100," in render_csv(alone).replace('"clean, uni100"', "clean\\, uni100")
