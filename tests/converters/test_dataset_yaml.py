"""The configuration file: the block is the converter's, everything else is the reader's."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from converters import dataset_yaml
from converters.dataset_yaml import BEGIN, END, differences, plan
from diffkg_recbole.errors import ConfigurationError, DataError
from tests.converters.conftest import REPOSITORY

COUNTS = {"users": 3, "items": 5}


def planned(path: Path, text: str | None = None, name: str = "x") -> dataset_yaml.DatasetYaml:
    if text is not None:
        path.write_text(text)
    return plan(path, name, "atomic_data/", COUNTS)


def test_a_new_file(tmp_path: Path) -> None:
    new = planned(tmp_path / "x.yaml")
    assert new.changed
    values = yaml.safe_load(new.text)
    assert values == {
        "data_path": "atomic_data/",
        "benchmark_filename": ["train", "valid", "test"],
        "load_col": {
            "inter": ["user_id", "item_id"], "user": ["user_id"], "item": ["item_id"],
            "kg": ["head_id", "relation_id", "tail_id"], "link": ["item_id", "entity_id"],
        },
        "expected": COUNTS,
    }
    assert new.claims == {}
    assert not (tmp_path / "x.yaml").exists()


def test_writing_it_twice_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    again = planned(path, planned(path).text)
    assert not again.changed


def test_lines_outside_the_block_stay(tmp_path: Path) -> None:
    text = (f"# mine\nseed: 7  # why\n\n{BEGIN}\ndata_path: old/\nexpected:\n  users: 1\n{END}\n"
            "# also mine\nepochs: 3\n")
    new = planned(tmp_path / "x.yaml", text)
    assert new.changed
    assert new.text.startswith(f"# mine\nseed: 7  # why\n\n{BEGIN}\ndata_path: atomic_data/\n")
    assert new.text.endswith(f"{END}\n# also mine\nepochs: 3\n")
    assert yaml.safe_load(new.text)["expected"] == COUNTS
    assert new.notices == []


def test_a_key_outside_the_block_wins(tmp_path: Path) -> None:
    text = f"{BEGIN}\n{END}\nload_col:\n  inter: [user_id, item_id]\nexpected:\n  users: 4\n"
    new = planned(tmp_path / "x.yaml", text)
    block = yaml.safe_load(new.text.split(END)[0])
    assert set(block) == {"data_path", "benchmark_filename"}
    assert yaml.safe_load(new.text)["load_col"] == {"inter": ["user_id", "item_id"]}
    assert len(new.notices) == 1
    assert "load_col" in new.notices[0]
    assert new.claims == {"users": 4}


def test_a_file_without_a_block_is_only_checked(tmp_path: Path) -> None:
    new = planned(tmp_path / "x.yaml", "data_path: elsewhere/\nbenchmark_filename: ~\nseed: 1\n")
    assert not new.changed
    assert new.text == "data_path: elsewhere/\nbenchmark_filename: ~\nseed: 1\n"
    assert [any(key in notice for notice in new.notices)
            for key in ("data_path", "benchmark_filename", "load_col")] == [True] * 3


def test_a_new_file_starts_from_the_shipped_one(tmp_path: Path) -> None:
    new = planned(tmp_path / "last-fm.yaml", name="last-fm")
    shipped = (REPOSITORY / "configs" / "datasets" / "last-fm.yaml").read_text()
    assert new.changed
    assert new.text == shipped
    assert new.claims["overlap"] == 169782


@pytest.mark.parametrize(("text", "line", "named"), [
    (f"a: 1\n{BEGIN}\n", 2, "block is damaged"),
    (f"a: 1\n{END}\n{BEGIN}\n", 3, "block is damaged"),
    (f"{BEGIN}\n{END}\n{BEGIN}\n{END}\n", 1, "block is damaged"),
    (f"{BEGIN}\nx: 1\n{END}\na: 1\nb: [\n", 6, "not valid YAML"),
    ("a: 1\nb: }\n", 2, "not valid YAML"),
    ("- a\n", None, "holds a list"),
])
def test_a_broken_file_is_refused(tmp_path: Path, text: str, line: int | None, named: str) -> None:
    with pytest.raises(DataError, match=named) as caught:
        planned(tmp_path / "x.yaml", text)
    assert caught.value.line == line


@pytest.mark.parametrize("text", [
    "expected: 5\n", "expected:\n  users: many\n", "expected:\n  users: -1\n",
    "expected:\n  users: 1.5\n", "expected:\n  users: true\n",
])
def test_claims_are_counts(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigurationError, match="expected"):
        planned(tmp_path / "x.yaml", text)


def test_differences() -> None:
    assert differences({"users": 3}, COUNTS, Path("x")) == {}
    assert differences({"users": 2, "items": 5}, COUNTS, Path("x")) == {"users": (2, 3)}
    with pytest.raises(ConfigurationError, match="'expected: useres'"):
        differences({"useres": 2}, COUNTS, Path("x"))


@pytest.mark.parametrize("path", sorted((REPOSITORY / "configs" / "datasets").glob("*.yaml")),
                         ids=lambda path: path.stem)
def test_every_shipped_file_is_in_order(path: Path) -> None:
    """It is planned without a notice, and what it expects is something the audit counts."""
    from converters.audit import counts
    from converters.synthetic import tiny

    sizes = counts(tiny())
    shipped = plan(path, path.stem, "atomic_data/", sizes)
    differences(shipped.claims, sizes, path)
    values = yaml.safe_load(path.read_text())
    if values.get("benchmark_filename"):
        assert shipped.notices == []
        assert BEGIN in shipped.text
    assert values["load_col"]["item"] == ["item_id"]  # every item is a candidate
    assert values["expected"]["users"] > 0
