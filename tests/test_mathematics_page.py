"""docs/mathematics.md names sections, functions, keys and files that exist, and all keys."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest
import yaml

from diffkg_recbole.config.general import GeneralSettings
from diffkg_recbole.model.diffkg import DiffKGSettings
from diffkg_recbole.model.kgcl import KGCLSettings

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "mathematics.md").read_text(encoding="utf-8")
SECTIONS = re.findall(r"^##+ (\d+(?:\.\d+)?)\.? ", PAGE, re.MULTILINE)
SPANS = sorted(set(re.findall(r"`([^`\n]+)`", PAGE)))
RULES = {**GeneralSettings.rules(), **KGCLSettings.rules(), **DiffKGSettings.rules()}
FUNCTIONS = [s for s in SPANS if re.fullmatch(r"(model|trainer|benchmarks)(\.\w+)+", s)]
FILES = [s for s in SPANS if "/" in s]
FLAGS = [s for s in SPANS if s.startswith("--")]
KEYS = [s for s in SPANS if s not in {*FUNCTIONS, *FILES, *FLAGS}]


def sources() -> list[Path]:
    """What is written by hand: code, documents, settings."""
    return [path for folder in ("diffkg_recbole", "converters", "benchmarks", "tests", "docs",
                                "configs", ".")
            for path in (ROOT / folder).glob("*" if folder == "." else "**/*")
            if path.suffix in (".py", ".md", ".yaml", ".toml") and path != Path(__file__)]


def named(name: str) -> object:
    """What a dotted name stands for, package parts first."""
    parts = name.split(".") if name.startswith("benchmarks") else ["diffkg_recbole",
                                                                   *name.split(".")]
    module = importlib.import_module(".".join(parts[:2]))
    for end, part in enumerate(parts[2:], start=3):
        module = getattr(module, part, None) or importlib.import_module(".".join(parts[:end]))
    return module


@pytest.mark.parametrize("name", FUNCTIONS)
def test_named_functions_exist(name):
    assert named(name) is not None


def test_every_module_of_the_formulas_is_named():
    modules = {path.stem for path in (ROOT / "diffkg_recbole" / "model").glob("*.py")}
    helpers = {"__init__", "blocks", "evaluation_cache", "recbole_settings"}
    assert modules - helpers <= {name.split(".")[1] for name in FUNCTIONS}


@pytest.mark.parametrize("span", KEYS)
def test_named_keys_exist_and_take_the_named_values(span):
    key, _, value = span.partition(": ")
    assert key in RULES
    if value:
        RULES[key].convert(yaml.safe_load(value))


@pytest.mark.parametrize("settings", [DiffKGSettings, KGCLSettings])
def test_every_key_of_the_models_is_named(settings):
    assert set(settings.rules()) <= {span.partition(":")[0] for span in KEYS}


def test_named_flags_are_those_of_the_settings():
    symbols = " ".join(rule.symbol for rule in DiffKGSettings.rules().values())
    assert set(FLAGS) <= set(re.findall(r"--\w+", symbols))


def test_named_files_exist():
    assert FILES
    assert all((ROOT / name).exists() for name in FILES)


def test_cited_sections_exist():
    citation = re.compile(r"[Mm]athematics (\d+(?:\.\d+)?(?:(?:,| and| to) \d+(?:\.\d+)?)*)")
    cited = {}
    for path in sources():
        text = re.sub(r"\s+", " ", path.read_text(encoding="utf-8"))
        for group in citation.findall(text):
            cited.update(dict.fromkeys(re.findall(r"\d+(?:\.\d+)?", group), path.name))
    assert len(cited) > 10
    assert not {section: name for section, name in cited.items() if section not in SECTIONS}


def test_sections_are_numbered_in_order():
    numbers = [tuple(map(int, section.split("."))) for section in SECTIONS]
    assert numbers == sorted(set(numbers))


def test_no_document_outside_the_project_is_cited():
    assert not [path for path in sources()
                if re.search(r"\bSPEC\b", path.read_text(encoding="utf-8"))]


def test_every_formula_is_closed():
    assert PAGE.count("$$") % 2 == 0
    without_blocks = re.sub(r"\$\$.*?\$\$", "", PAGE, flags=re.DOTALL)
    for line in without_blocks.split("\n\n"):
        assert line.count("$") % 2 == 0, line
    # GitHub takes a backslash before a sign for Markdown's, also in a formula
    assert not re.findall(r"\\[,;!{}_#&\\]", PAGE)
