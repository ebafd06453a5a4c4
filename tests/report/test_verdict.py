"""The verdict says what the comparisons found, and no more."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from diffkg_recbole.report import Report
from diffkg_recbole.report.differences import Difference
from diffkg_recbole.report.results import Row, Section, Unfinished
from diffkg_recbole.report.verdict import Answer, questions, verdict
from diffkg_recbole.statistics import PairedTest

P_VALUES = {"better": (0.01, 0.01), "worse": (0.01, 0.01), "same": (0.5, 0.5),
            "unclear": (0.01, 0.5)}


def _row(
    model: str, recall: float, kg: str = "original", variant: str | None = None, seeds: int = 2,
    valid: float | None = None,
) -> Row:
    values: dict[str, Any] = {"kg": kg, "variant": variant, "test_selected": False}
    runs = tuple(SimpleNamespace(model=model, seed=seed, test={"recall@20": recall},
                                 valid={"recall@20": recall if valid is None else valid},
                                 get=lambda key, default=None: values.get(key, default))
                 for seed in range(seeds))
    label = ", ".join([model, *([f"kg: {kg}"] if kg != "original" else []),
                       *([variant] if variant else [])])
    return Row(label, runs)  # type: ignore[arg-type]


def _section(*rows: Row, unfinished: int = 0) -> Section:
    lost = [Unfinished("X", 1, "failed", "error", "folder")] * unfinished
    return Section("d", "clean", 1, "recall@20", ("recall@20",),
                   sorted(rows, key=lambda row: -row.metrics["recall@20"].mean), lost)


def _verdict(section: Section, **directions: str) -> str:
    """The verdict when the comparison of the row against each other label went that way."""
    answers = []
    for question in questions(section):
        direction = directions.get(question.against.label.replace(", ", "_").replace(": ", "_"),
                                   "same")
        size = {"better": 0.02, "worse": -0.02}.get(direction, 0.001)
        test = PairedTest(question.row.label, question.against.label, "recall@20", 9, 0, 0, size,
                          (size - 0.01, size + 0.01), 0, 0, 0, 0, 0)
        answers.append(Answer(question, Difference(question.row, question.against, test,
                                                   *P_VALUES[direction])))
    return " ".join(verdict(section, answers, []))


@pytest.mark.parametrize(("direction", "start", "amount"), [
    ("better", "KGAT (the best knowledge model on validation data) beats BPR (the best model "
     "without a knowledge graph on validation data): ", "+0.0200"),
    ("worse", "KGAT (the best knowledge model on validation data) is beaten by BPR (", "−0.0200"),
    ("same", "There is no significant difference between KGAT (the best knowledge model on "
     "validation data) and BPR (", "+0.0010"),
    ("unclear", "Whether KGAT (the best knowledge model on validation data) differs from BPR (",
     "+0.0010")])
def test_the_first_sentence(direction: str, start: str, amount: str) -> None:
    text = _verdict(_section(_row("KGAT", 0.2), _row("KGIN", 0.1), _row("BPR", 0.15),
                             _row("Pop", 0.05)), BPR=direction)
    assert text.startswith(start)
    assert f"Recall@20 0.2000 against 0.1500, a difference of {amount} (95 % interval" in text
    assert "graph help" not in text  # no control rows, so nothing is said about the graph


def test_controls_and_variants_do_not_stand_for_the_best_model() -> None:
    section = _section(_row("KGAT", 0.2), _row("KGAT", 0.4, kg="random"),
                       _row("KGAT", 0.5, variant="w/o x"), _row("BPR", 0.1))
    assert [(q.row.label, q.against.label) for q in questions(section)] == [
        ("KGAT", "BPR"), ("KGAT", "KGAT, kg: random"), ("KGAT", "KGAT, w/o x")]


def test_the_best_of_each_kind_are_the_best_on_validation_data() -> None:
    section = _section(_row("KGAT", 0.2, valid=0.1), _row("KGIN", 0.1, valid=0.2),
                       _row("BPR", 0.15, valid=0.1), _row("Pop", 0.05, valid=0.2))
    assert [(q.row.label, q.against.label) for q in questions(section)] == [("KGIN", "Pop")]


def test_no_best_model_is_singled_out_by_the_test() -> None:
    rows = [_row("KGAT", 0.2), _row("BPR", 0.15)]
    for row in rows:
        for run in row.runs:
            run.valid.clear()  # type: ignore[attr-defined]
    section = _section(*rows)
    assert questions(section) == []
    assert "which model is best was not settled before the test" in verdict(section, [], [])[0]


def test_a_row_of_other_settings_does_not_silence_the_questions() -> None:
    other = Row("DiffKG, tuned", _row("DiffKG", 0.3).runs)
    section = _section(_row("DiffKG", 0.2), other, _row("DiffKG", 0.1, kg="none"),
                       _row("DiffKG", 0.1, variant="w/o x"))
    assert [(q.row.label, q.against.label) for q in questions(section)] == [
        ("DiffKG", "DiffKG, kg: none"), ("DiffKG", "DiffKG, w/o x")]
    assert questions(_section(other, Row("DiffKG, large", other.runs),
                              _row("DiffKG", 0.1, kg="none"))) == []


@pytest.mark.parametrize(("none", "random", "conclusion"), [
    ("better", "better", "So its graph helps, and not just as any graph of that size would."),
    ("better", "same", "it is not shown that the knowledge in it does"),
    ("better", "worse", "it is not shown that the knowledge in it does"),
    ("same", "better", "So it is not shown that the graph helps."),
    ("unclear", "same", "So it is not shown that the graph helps.")])
def test_what_the_graph_controls_allow_to_say(none: str, random: str, conclusion: str) -> None:
    section = _section(_row("KGAT", 0.2), _row("KGAT", 0.18, kg="none"),
                       _row("KGAT", 0.19, kg="random"), _row("BPR", 0.1))
    text = _verdict(section, KGAT_kg_none=none, KGAT_kg_random=random)
    assert "Does the graph help KGAT? Its own graph instead of none: " in text
    assert conclusion in text


def test_one_control_alone_promises_less() -> None:
    section = _section(_row("KGAT", 0.2), _row("KGAT", 0.1, kg="none"))
    assert "a random one was not tried" in _verdict(section, KGAT_kg_none="better")


def test_variants_are_told_from_the_side_of_the_variant() -> None:
    section = _section(_row("DiffKG", 0.2), _row("DiffKG", 0.1, variant="w/o diffusion"),
                       _row("DiffKG", 0.3, variant="w/o CKGC"))
    text = _verdict(section, **{"DiffKG_w/o diffusion": "better", "DiffKG_w/o CKGC": "worse"})
    assert "'w/o diffusion': −0.0200 (−0.0300 to −0.0100), significantly worse" in text
    assert "'w/o CKGC': +0.0200 (+0.0100 to +0.0300), significantly better" in text


def test_many_models_are_counted() -> None:
    rows = [_row(model, 0.2) for model in ("KGAT", "KGIN", "CKE")]
    section = _section(*rows, *(_row(row.model, 0.1, kg="none") for row in rows))
    text = _verdict(section, KGAT_kg_none="better", CKE_kg_none="better")
    assert "Against no graph, the own graph is a significant gain for 2 of 3 models." in text
    assert text.count("Does the graph help") == 1


def test_missing_sides_are_said() -> None:
    assert "no knowledge model on its own graph to compare" in _verdict(_section(_row("BPR", 0.1)))
    assert "no model without a knowledge graph" in _verdict(_section(_row("KGAT", 0.1)))


def test_reservations() -> None:
    text = _verdict(_section(_row("KGAT", 0.2, seeds=1), _row("BPR", 0.1), unfinished=2))
    assert "1 of 2 rows stands on one seed only" in text
    assert "2 runs did not finish" in text
    rows = [_row("KGAT", 0.2), _row("BPR", 0.1, seeds=1), _row("Pop", 0.05, seeds=1)]
    assert "2 of 3 rows stand on one seed only" in _verdict(_section(*rows))
    assert "Every row stands on one seed only" in _verdict(_section(*rows[1:]))
    assert "seed" not in _verdict(_section(_row("KGAT", 0.2), _row("BPR", 0.1)))


def test_test_selection_is_said(published: Report) -> None:
    assert any("chosen on the test part" in line for line in published.sections[0].sentences)


def test_the_showcase_answers_every_kind_of_question(showcase: Report) -> None:
    topics = [answer.question.topic for answer in showcase.sections[0].answers]
    assert topics == ["models", "graph", "graph", "graph", "graph", "variants", "variants"]
