"""Published numbers: shown only where they belong, and never as measured ones."""

from __future__ import annotations

import pytest

from diffkg_recbole.report import Report
from diffkg_recbole.report.published import load_published, published_for
from diffkg_recbole.report.table import leaderboard

ALIBABA = {"users": 114_737, "items": 30_040}


def test_the_shipped_table() -> None:
    sources = load_published()
    assert len(sources) == 3
    assert sources[0]["last-fm"]["DiffKG"] == [0.0980, 0.0911]
    assert len(sources[0]["last-fm"]) == len(sources[0]["mind"]) == len(sources[0]["alibaba"]) == 14
    assert sources[2]["alibaba"]["MultiVAE"] == [0.1388, 0.0898]


def test_sources_protocols_and_doubts_of_a_public_set() -> None:
    found = published_for("alibaba", "authors", ALIBABA)
    assert [column.protocol for column in found.columns] == ["authors", "authors", "clean"]
    assert found.columns[0].values["DiffKG"] == {"recall@20": 0.1234, "ndcg@20": 0.0773}
    assert any("test part" in doubt for doubt in found.columns[0].doubts)
    assert any("'authors', some published numbers 'clean'" in text for text in found.cautions)


@pytest.mark.parametrize("name", ["last-fm", "lastfm", "LastFM_clean", "last_fm-kg"])
def test_names_of_a_public_set(name: str) -> None:
    found = published_for(name, "authors", {"users": 23_566, "items": 48_123})
    assert len(found.columns) == 2
    assert any("may differ" in text for text in found.cautions) == (name != "last-fm")


def test_another_set_of_the_same_name_gets_no_numbers() -> None:
    found = published_for("lastfm", "clean", {"users": 1_892, "items": 17_632})
    assert found.columns == ()
    assert "another size" in found.cautions[0]
    assert published_for("ml-100k", "clean", {}).columns == ()


def test_published_numbers_have_columns_of_their_own(published: Report) -> None:
    board = leaderboard(published.sections[0])
    places = [place for place, column in enumerate(board.columns) if column.group == "published"]
    assert [board.columns[place].title for place in places] == [
        "Published Recall@20 [1]", "Published NDCG@20 [1]", "Published Recall@20 [2]",
        "Published NDCG@20 [2]"]
    shown = {row.label: [line[place].text for place in places]
             for row, line in zip(board.rows, board.cells)}
    assert shown == {"DiffKG": ["0.0980", "0.0911", "–", "–"],
                     "DiffKG, kg: none": ["–"] * 4,
                     "KGIN": ["0.0900", "0.0779", "0.0979", "0.0848"],
                     "LightGCN": ["0.0738", "0.0647", "–", "–"]}
    assert all(cell.place == 0 for line in board.cells for cell in (line[p] for p in places))
