"""Every command of the README and the pages of docs/ runs, and every link leads somewhere."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from pathlib import Path

import pytest
import yaml

import diffkg_recbole
from converters.cli import main as converters
from diffkg_recbole.cli import main, run_command
from diffkg_recbole.store import RunStore

ROOT = Path(__file__).parents[1]
# The reports below docs/results list the command of each of their runs; those are records.
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")),
         ROOT / "docs" / "results" / "README.md", ROOT / "configs" / "models" / "README.md"]
PROGRAMS = ("diffkg-recbole", "python", "pytest", "pip", "ruff", "mypy", "mkdocs", "git", "uv")

NOT_RUN = {
    r"pip install|uv (pip|sync|run|lock)|git clone": "installs; .ci/run does it on a clean machine",
    r"^diffkg-recbole \w+$": "names a command, without what it works on",
    r"pytest|^ruff|^mypy|^mkdocs": "is what .ci/run runs",
    r"python -m tests.kills": "takes minutes; tests/kills runs a few",
    r"python -m tests.fuzz": "takes minutes, and atheris; tests/fuzz runs a few",
    r"python -m benchmarks": "takes hours, or a minute; tests/test_benchmarks.py runs its groups",
    r"docs/make_\w+.py": "tests compare its page; run here, it would change the page",
    r"--ray-address": "needs a Ray cluster; tests/compare/test_ray_jobs.py has a stand-in",
    r"path/to/amazon-book": "KGAT's format; tests/converters read it",
    r"…|\.\.\.|<\w+": "has a place to fill in",
}
"""Commands that are not run, by what they hold, with the reason."""

SMALLER = [
    (r"--dataset=(movie|last-fm|mind|alibaba)\b", "--dataset=tiny"),  # as far as data are at hand
    (r"--dataset=ml-100k\b", "--dataset=tiny"),
    (r"atomic_data/last-fm", "atomic_data/tiny"),
    (r"path/to/lastfm last-fm", "authors converted"),
    (r"report quick-runs", "report runs"),
    (r"--epochs=\d+", "--epochs=1"), (r"--trials=\d+", "--trials=1"),
    (r"\b(3f9a|7763)\b", "RUN"), (r"\bFILE\b", "own.yaml"), (r"my\.yaml", "own.yaml"),
]
"""What is replaced in a command before it is run."""


def code(page: Path, language: str) -> list[str]:
    """The code blocks of a page."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(encoding="utf-8"),
                      re.MULTILINE | re.DOTALL)


def commands(page: Path) -> list[str]:
    """Every command of a page: lines of blocks, indented or fenced, and code within text."""
    text = page.read_text(encoding="utf-8")
    lines = [line for block in code(page, "(?:bash|sh)?") for line in block.splitlines()]
    lines += re.findall(r"^ {4}(\S.*)$", text, re.MULTILINE)
    lines += [span for span in re.findall(r"`([^`\n]+)`", text) if " " in span]
    found = []
    for line in lines:
        found += [word.strip() for word in re.split(r"&&", re.sub(r"\s#\s.*", "", line))]
    return list(dict.fromkeys(line for line in found if line.split(" ")[0] in PROGRAMS))


def reason(command: str) -> str | None:
    """Why a command is not run."""
    return next((why for sign, why in NOT_RUN.items() if re.search(sign, command)), None)


RUN = {page: [command for command in commands(page) if reason(command) is None] for page in PAGES}


@pytest.fixture(scope="module")
def place(tmp_path_factory, working_folder):
    """A folder with a run in its store, a comparison file, and the authors' files."""
    folder = tmp_path_factory.mktemp("commands")
    (folder / "own.yaml").write_text("datasets: [tiny]\nseeds: [1]\nsettings: {epochs: 1}\n"
                                     "models: [Pop, BPR]\n")
    shutil.copytree(ROOT / "configs", folder / "configs")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(["train", "--model=BPR", "--dataset=tiny", "--epochs=1"]) == 0
        shutil.copytree(ROOT / "atomic_data" / "tiny", folder / "atomic_data" / "tiny")
        assert converters(["export", "atomic_data/tiny", "authors"]) == 0
    return folder


def run(command: str) -> int:
    """Run a command in this process, on less."""
    for sign, smaller in SMALLER:
        command = re.sub(sign, smaller, command)
    run_id = RunStore("runs").scan().records[0].id[:8]
    words = [run_id if word == "RUN" else word for word in shlex.split(command)]
    if words[0] == "python":
        if words[1:3] == ["-m", "converters"]:
            return converters(words[3:])
        assert words[1] == "run_recbole_diffkg.py", command
        return run_command("train", small(words[2:]), words[1])
    assert words[0] == "diffkg-recbole", command
    rest = words[2:]
    if words[1] == "compare" and not {"own.yaml", "--dry-run"} & set(rest):
        rest = [*rest, "--dry-run"]
    if words[1] == "tune":
        rest = [*rest, "--trials=1", "--epochs=1"]
    return main([words[1], *(small(rest) if words[1] == "train" else rest)])


def small(words: list[str]) -> list[str]:
    """Flags of a training that takes a second."""
    less = {"--epochs": "1", "--dataset": "tiny"}
    told = {word.partition("=")[0] for word in words}
    return words if "--help" in told else [
        *words, *(f"{key}={value}" for key, value in less.items() if key not in told)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("page", "command"), [(page, command) for page in PAGES for command in RUN[page]],
    ids=lambda value: value.name if isinstance(value, Path) else value[:60])
def test_commands_run(page, command, place, monkeypatch, capsys):
    monkeypatch.chdir(place)
    try:
        status = run(command)
    except SystemExit as end:  # --help
        status = end.code
    assert status == 0, capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if code(page, "python")],
                         ids=lambda page: page.name)
def test_python_runs(page, place, monkeypatch):
    monkeypatch.chdir(place)
    model = str(next(Path("runs").glob("BPR-*/model.pth")))
    names: dict = {}
    for block in code(page, "python"):
        for old, new in (("runs/.../model.pth", model), ('dataset="ml-100k"', 'dataset="tiny"'),
                         ('"epochs": 5', '"epochs": 1')):
            block = block.replace(old, new)
        exec(block, names)
    assert names


def test_what_is_not_run_has_its_reason_and_the_rest_is_found():
    assert len(RUN[ROOT / "README.md"]) >= 10
    listed = [command for page in PAGES for command in commands(page)]
    assert all(any(re.search(sign, one) for one in listed) for sign in NOT_RUN)


def test_yaml_of_the_pages_can_be_read():
    for page in PAGES:
        for block in code(page, "yaml"):
            assert yaml.safe_load(block)


LINKS = [(page, link) for page in PAGES for link in re.findall(
    r"\]\((?!https?:|#)([^)#\s]+)", page.read_text(encoding="utf-8"))]


@pytest.mark.parametrize(("page", "link"), LINKS,
                         ids=lambda value: value.name if isinstance(value, Path) else value)
def test_links_lead_somewhere(page, link):
    assert (page.parent / link).exists()


FILES = sorted({(page, name) for page in PAGES for name in re.findall(
    r"`((?:diffkg_recbole|tests|benchmarks|configs|converters|docs)/[\w./-]+)`",
    page.read_text(encoding="utf-8"))})


@pytest.mark.parametrize(("page", "name"), FILES,
                         ids=lambda value: value.name if isinstance(value, Path) else value)
def test_named_files_exist(page, name):
    assert (ROOT / name).exists()


def test_dir_shows_what_is_public_and_all_of_it_is_documented():
    assert dir(diffkg_recbole) == sorted([*diffkg_recbole.__all__, "__version__"])
    api = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    for name in diffkg_recbole.__all__:
        one = getattr(diffkg_recbole, name)
        assert one.__doc__
        assert f"::: {one.__module__}.{one.__qualname__}\n" in api
    assert api.count("::: ") == len(diffkg_recbole.__all__)
    assert sys.modules["diffkg_recbole"].__all__ == sorted(
        diffkg_recbole.__all__, key=lambda name: (name.islower(), name))
