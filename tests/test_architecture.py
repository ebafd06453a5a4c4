"""The map of docs/architecture.md is that of the imports, and its arrows point down."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOUND = importlib.util.spec_from_file_location("make_map", ROOT / "docs" / "make_map.py")
make_map = importlib.util.module_from_spec(FOUND)
FOUND.loader.exec_module(make_map)
PAGE = make_map.PAGE.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def pairs():
    return make_map.imports()


def test_every_room_has_its_floor():
    assert make_map.undeclared() == [], "declare the room in FLOORS of docs/make_map.py"


def test_no_arrow_points_upward(pairs):
    assert make_map.arrows_upward(pairs) == []


def test_no_modules_import_each_other(pairs):
    assert make_map.circles(pairs) == []


def test_the_ground_floor_stands_on_nothing(pairs):
    ground = set(make_map.FLOORS["ground floor"])
    assert {make_map.room_of(imported) for importer, imported in pairs
            if make_map.room_of(importer) in ground} <= ground


def test_the_picture_is_that_of_the_imports():
    assert make_map.page() == PAGE, f"run: {make_map.COMMAND}"


def test_an_arrow_upward_and_a_circle_are_found():
    up = ("diffkg_recbole.store.reading", "diffkg_recbole.cli.runs")
    down = ("diffkg_recbole.cli.runs", "diffkg_recbole.store.reading")
    assert make_map.arrows_upward({up, down}) == [up]
    assert make_map.circles({up, down}) == [sorted(up)]
    assert make_map.circles({down}) == []


def test_the_picture_leaves_out_what_arrows_imply():
    chain = {("diffkg_recbole.cli.runs", "diffkg_recbole.tune.study"),
             ("diffkg_recbole.tune.study", "diffkg_recbole.store.store"),
             ("diffkg_recbole.cli.runs", "diffkg_recbole.store.store"),
             ("diffkg_recbole.store.store", "diffkg_recbole.errors")}
    drawn = re.findall(r"(\w+) --> (\w+)", make_map.picture(chain))
    assert drawn == [("room_cli", "room_tune"), ("room_tune", "room_store"),
                     ("room_store", "ground")]


def test_imports_in_functions_and_for_types_count(pairs):
    assert ("diffkg_recbole.cli.train", "diffkg_recbole.quick_start") in pairs
    assert ("diffkg_recbole.cli.compare", "diffkg_recbole.compare.plan") in pairs


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`([a-z_]+/[\w/.]+\.(?:py|yaml))`", PAGE))))
def test_named_files_exist(name):
    places = (ROOT, ROOT / "diffkg_recbole")
    assert any((place / name.replace("<Name>", "DiffKG")).is_file() for place in places)


def test_every_room_is_told_of():
    listing = PAGE.rpartition("```\nrun_recbole")[2].partition("```")[0]
    told = set(re.findall(r"[a-z_]+", listing))
    assert {room for room in make_map.ROOMS if room not in ("__main__", "diffkg_recbole")} <= told
