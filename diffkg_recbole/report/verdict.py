"""What the numbers say, in plain words: every sentence is computed from a comparison.

Three questions, asked only where the rows for them exist: does the best knowledge model beat the
best model without a graph (both the best on validation data), does the graph help (its own
against none and against a random one), and does each part of a model help (the model against its
variants, such as one without diffusion)?
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from diffkg_recbole.report.differences import Difference
from diffkg_recbole.report.reference import Reference, best_by_validation
from diffkg_recbole.report.results import Row, Section
from diffkg_recbole.report.words import DIRECTION_WORDS, interval, signed
from diffkg_recbole.text import metric_name, one_line


@dataclass(frozen=True)
class Question:
    """Two rows whose difference answers something.

    Args:
        topic: ``models``, ``graph`` or ``variants``.
        claim: what a positive difference would show, in words.
        row: the row that the claim is about.
        against: the row it is compared with.
    """

    topic: str
    claim: str
    row: Row
    against: Row


@dataclass(frozen=True)
class Answer:
    """A question with its comparison."""

    question: Question
    comparison: Difference


def questions(section: Section) -> list[Question]:
    """Every question that the rows of a section can answer."""
    rows = [row for row in section.rows if section.metric in row.metrics]
    asked = []
    graph, plain = (best_by_validation(section, [row for row in rows if row.kind == kind])
                    for kind in ("graph", "plain"))
    if graph is not None and plain is not None:
        asked.append(Question("models", f"{graph.label} beats {plain.label}", graph, plain))
    for row in sorted(rows, key=lambda row: row.kg != "none"):
        if row.kind == "control":
            full = _full_model(rows, row)
            if full is not None:
                other = "no graph" if row.kg == "none" else "a random graph"
                asked.append(Question(
                    "graph", f"{full.label} gains from its graph over {other}", full, row))
    for row in rows:
        if row.kind == "variant":
            full = _full_model(rows, row)
            if full is not None:
                asked.append(Question("variants", f"{full.label} beats {row.label}", full, row))
    return asked


def _full_model(rows: Sequence[Row], of: Row) -> Row | None:
    """The row of the same model with its own graph (and, for a control, the same variant).

    Of several rows (other settings under labels of their own) the one with the model's own name;
    None if there is no such row either.
    """
    variant = of.variant if of.kind == "control" else None
    fitting = [row for row in rows if row.model == of.model and row.kg == "original"
               and row.variant == variant]
    if len(fitting) > 1:
        own = of.model if variant is None else f"{of.model}, {variant}"
        fitting = [row for row in fitting if row.label == own]
    return fitting[0] if len(fitting) == 1 else None


def verdict(
    section: Section, answers: Sequence[Answer], unknown: Sequence[Question],
    choice: Reference | None = None, comparisons: Sequence[Difference] = (),
) -> list[str]:
    """The sentences of the verdict.

    Args:
        answers: questions with their comparisons.
        unknown: questions that could not be tested, because per-user metrics are missing.
        choice, comparisons: every row against the reference.
    """
    if not section.rows:
        return ["Of these runs none has finished, so there is nothing to say about them yet."]
    by_topic = {topic: [answer for answer in answers if answer.question.topic == topic]
                for topic in ("models", "graph", "variants")}
    sentences = [
        *_models(section, by_topic["models"], unknown),
        *(_counted(choice, comparisons) if not by_topic["models"] else []),
        *_graph(by_topic["graph"]),
        *_variants(by_topic["variants"]),
    ]
    if unknown:
        sentences.append("Where metrics per user are missing, no difference was tested.")
    return [*sentences, *_reservations(section)]


def _models(
    section: Section, answers: Sequence[Answer], unknown: Sequence[Question]
) -> list[str]:
    metric = metric_name(section.metric)
    if not answers:
        if any(question.topic == "models" for question in unknown):
            return []
        best = section.rows[0]
        if section.metric not in best.metrics:
            return ["The finished runs hold no test metric."]
        leads = f"{best.label} leads with {metric} {best.metrics[section.metric].mean:.4f}"
        kinds = {row.kind for row in section.rows}
        if {"graph", "plain"} <= kinds:
            return [f"{leads}; which model is best was not settled before the test, so it is not "
                    "asked whether the best knowledge model beats the best other one."]
        missing = ("knowledge model on its own graph" if "graph" not in kinds
                   else "model without a knowledge graph")
        return [f"{leads}; the table holds no {missing} to compare it with."]
    one = answers[0].comparison
    a, b = answers[0].question.row, answers[0].question.against
    first = f"{a.label} (the best knowledge model on validation data)"
    second = f"{b.label} (the best model without a knowledge graph on validation data)"
    heads = {
        "better": f"{first} beats {second}",
        "worse": f"{first} is beaten by {second}",
        "same": f"There is no significant difference between {first} and {second}",
        "unclear": f"Whether {first} differs from {second} is open: the two tests disagree",
    }
    return [f"{heads[one.direction]}: {metric} {a.metrics[section.metric].mean:.4f} against "
            f"{b.metrics[section.metric].mean:.4f}, a difference of {_amount(one)}."]


def _counted(choice: Reference | None, comparisons: Sequence[Difference]) -> list[str]:
    """How many rows differ from the reference, where no pair of models was singled out."""
    if choice is None or not comparisons:
        return []
    found = [one.direction for one in comparisons]
    return [f"Against {choice.row.label}, {found.count('better')} of {len(found)} rows are "
            f"significantly better and {found.count('worse')} significantly worse."]


def _graph(answers: Sequence[Answer]) -> list[str]:
    """One sentence a model; of many models only the best, and a count."""
    models = list(dict.fromkeys(answer.question.row.label for answer in answers))
    shown = models if len(models) <= 2 else models[:1]
    sentences = []
    if len(models) > 2:
        for kind, words in (("none", "no graph"), ("random", "a random graph")):
            some = [a.comparison for a in answers if a.question.against.kg == kind]
            if some:
                gains = sum(one.direction == "better" for one in some)
                sentences.append(f"Against {words}, the own graph is a significant gain for "
                                 f"{gains} of {len(some)} models.")
    for label in shown:
        own = [answer for answer in answers if answer.question.row.label == label]
        parts = [f"instead of {'none' if a.question.against.kg == 'none' else 'a random one'}: "
                 f"{_reading(a.comparison)}" for a in own]
        sentences.append(f"Does the graph help {label}? Its own graph {'; '.join(parts)}. "
                         + _graph_conclusion(own))
    return sentences


def _reading(one: Difference) -> str:
    words = {**DIRECTION_WORDS, "better": "a significant gain", "worse": "a significant loss"}
    return (f"{signed(one.difference)} ({interval(one.low, one.high)}), "
            f"{words[one.direction]}")


def _graph_conclusion(answers: Sequence[Answer]) -> str:
    """What the controls allow to say, and no more."""
    found = {answer.question.against.kg: answer.comparison.direction for answer in answers}
    if set(found.values()) == {"better"}:
        return ("So its graph helps, and not just as any graph of that size would."
                if "random" in found else "So its graph helps; a random one was not tried.")
    if found.get("none") == "better":
        return ("So a graph helps, but it is not shown that the knowledge in it does: a random "
                "one is not significantly worse.")
    return "So it is not shown that the graph helps."


def _variants(answers: Sequence[Answer]) -> list[str]:
    """The comparisons are full model minus variant; a reader expects the change a variant makes."""
    words = {**DIRECTION_WORDS, "better": DIRECTION_WORDS["worse"],
             "worse": DIRECTION_WORDS["better"]}
    sentences = []
    for label in dict.fromkeys(answer.question.row.label for answer in answers):
        parts = []
        for answer in answers:
            if answer.question.row.label == label:
                one = answer.comparison
                parts.append(f"with '{one_line(answer.question.against.variant)}': "
                             f"{signed(-one.difference)} ({interval(-one.high, -one.low)}), "
                             f"{words[one.direction]}")
        sentences.append(f"Does every part of {label} help? " + _capital("; ".join(parts)) + ".")
    return sentences


def _amount(one: Difference) -> str:
    return f"{signed(one.difference)} (95 % interval {interval(one.low, one.high)})"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _reservations(section: Section) -> list[str]:
    """What weakens every sentence before."""
    sentences = []
    fewest = min(len(row.runs) for row in section.rows)
    if fewest == 1:
        one = sum(len(row.runs) == 1 for row in section.rows)
        who = "Every row" if one == len(section.rows) else f"{one} of {len(section.rows)} rows"
        verb = "stand" if 1 < one < len(section.rows) else "stands"
        sentences.append(f"{who} {verb} on one seed only: the tests see the spread between users, "
                         "not the one between trainings.")
    if not section.full_ranking:
        sentences.append(f"Ranked among {section.candidates}: such numbers do not compare with "
                         "those of full ranking, nor need they order models the same way.")
    if section.test_selected:
        sentences.append("The epoch was chosen on the test part, so every number is optimistic.")
    if section.unfinished:
        count = len(section.unfinished)
        sentences.append(f"{count} run{'s' if count > 1 else ''} did not finish and "
                         f"{'are' if count > 1 else 'is'} missing here.")
    return sentences
