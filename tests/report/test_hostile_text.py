"""Names from outside in every output: shown as text, on one line, and never as something else."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
import yaml

import diffkg_recbole
from diffkg_recbole.cli import main
from diffkg_recbole.compare.file import read_comparison
from diffkg_recbole.compare.plan import make_plan
from diffkg_recbole.config.plain_yaml import parse_word, read_yaml
from diffkg_recbole.errors import UserError
from diffkg_recbole.report import Report, build_report
from diffkg_recbole.report.csv_json import render_csv, render_json
from diffkg_recbole.report.html import render_html
from diffkg_recbole.report.latex import render_latex
from diffkg_recbole.report.markdown import render_markdown
from diffkg_recbole.report.write import write_report
from diffkg_recbole.store import RunStore
from diffkg_recbole.text import checked_dataset_name, flag_text, one_line
from tests.report.fake_runs import FakeRun, write_fake_run
from tests.report.test_html import Page
from tests.report.test_text_formats import _check_latex, _printed

HOSTILE = {
    "script": "<script>document.title = 1</script>", "closing": "</script></style></td></table>",
    "image": '"><img src=x onerror=alert(1)>', "quote": "' onmouseover='alert(1)",
    "entity": "&lt;b&gt; &#60;b&#62;", "comment": "<!-- <details>", "link": "[link=x]y[/link]",
    "markup": "[bold red]a[/] b [/x]", "markdown link": "[a](javascript:alert(1))",
    "markdown image": "![a](http://x/y.png)", "emphasis": "**a** _b_ ~~c~~ # d",
    "pipe": "a | b || c",
    "backtick": "a ` b `` c ``` d", "backslash": "a \\ b \\| c \\", "formula": "=1+1",
    "plus": "+1+1", "minus": "-1+1", "at": "@SUM(A1)", "wide formula": "＝1+1",
    "tab formula": "\t=1+1", "newline formula": "\n=1+1", "newline": "a\nb\r\nc\u2028d\x85e",
    "escape": "\x1b[31mred\x1b[0m", "link code": "\x1b]8;;http://x\x07y\x1b]8;;\x07",
    "bell": "a\x07\x08b", "nul": "a\x00b", "bidi": "a\u202eb\u2066c\u200fd",
    "invisible": "a\u200bb\ufeffc", "surrogate": "a\ud800b", "low surrogate": "\udfff",
    "escaped byte": "caf\udce9", "template": "{{7*7}} {% x %} ${x} %{y}",
    "latex": "\\input{x} $x$ 50% #1 ~^ \\end{tabular}", "quotes": "a \"b\" 'c', d; e",
}
NAMES = list(HOSTILE)


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Report]:
    """A report for each hostile name, and one for a harmless one (of the same place in order)."""
    return {name: _report(tmp_path_factory.mktemp("store"), text)
            for name, text in {"harmless": "a", **HOSTILE}.items()}


def _report(store: Path, text: str) -> Report:
    data = {"dataset": text, "users": 60, "items": 40, "epochs": 2}
    write_fake_run(store, FakeRun("BPR", 0.3, label=text, config={"note": text}, **data))
    write_fake_run(store, FakeRun("KGAT", 0.4, kg="original", variant=text, label="zz", **data))
    write_fake_run(store, FakeRun("SGL", broken=text, label="z", **data))
    (store / "torn").mkdir()
    (store / "torn" / "run.json").write_text("{")
    return build_report(*RunStore(store).scan(), title=text)


def _shape(page: Page) -> list[tuple[str, list[str]]]:
    return [(tag, sorted(attributes)) for tag, attributes in page.tags]


def _clean(text: str) -> bool:
    """Whether nothing in a text can steer a terminal, turn its direction or fail to be written."""
    return all(letter.isprintable() or letter in "\n " for letter in text.replace("\xa0", " "))


@pytest.mark.parametrize("name", NAMES)
def test_the_page_has_the_elements_of_a_harmless_one(reports, name):
    harmless, page = (Page(render_html(reports[one])) for one in ("harmless", name))
    assert _shape(page) == _shape(harmless)
    assert _clean(page.text)
    assert one_line(HOSTILE[name]) in page.text


@pytest.mark.parametrize("name", NAMES)
def test_markdown_has_the_elements_of_a_harmless_one(reports, name):
    def page(report: Report) -> Page:
        parser = pytest.importorskip("markdown_it", reason="an old rich comes without it")
        return Page(parser.MarkdownIt("commonmark").enable("table").render(render_markdown(report)))

    harmless, shown = page(reports["harmless"]), page(reports[name])
    left, right = ([one for one in _shape(page) if one[0] not in ("ins", "strong")]
                   for page in (shown, harmless))  # which rows are best is drawn anew
    assert left == right
    assert one_line(HOSTILE[name]) in shown.text
    assert _clean(render_markdown(reports[name]))


@pytest.mark.parametrize("name", NAMES)
def test_csv_has_no_formula_and_a_line_a_row(reports, name):
    text = render_csv(reports[name])
    lines = list(csv.DictReader(io.StringIO(text)))
    assert len(lines) == len(text.splitlines()) - 1 == 2
    for line in lines:
        assert line["dataset"] in (one_line(HOSTILE[name]), "'" + one_line(HOSTILE[name]))
        assert not any(cell.startswith(("=", "+", "@", "＝", "\t")) for cell in line.values())
    assert _clean(text)


@pytest.mark.parametrize("name", NAMES)
def test_the_terminal_is_not_steered(reports, name):
    printed = _printed(reports[name])
    assert _clean(printed)
    assert one_line(HOSTILE[name]) in " ".join(printed.split())


@pytest.mark.parametrize("name", NAMES)
def test_json_and_latex(reports, name):
    value = json.loads(render_json(reports[name]))
    assert value["sections"][0]["dataset"] == one_line(HOSTILE[name])
    _check_latex(render_latex(reports[name]))


@pytest.mark.parametrize("name", NAMES)
def test_every_file_can_be_written_and_every_command_ends_well(reports, name, tmp_path, capsys):
    written = write_report(reports[name], tmp_path / "out")
    assert all(path.read_text(encoding="utf-8") for path in written)
    store = tmp_path / "runs"
    folder = write_fake_run(store, FakeRun("BPR", label=HOSTILE[name], users=30, items=20))
    for words in (["list"], ["list", "--json"], ["show", folder.name]):
        assert main(["runs", *words, "--store", str(store)]) == 0
        out = capsys.readouterr().out
        out.encode()
        if "--json" in words:
            assert json.loads(out)["label"] == HOSTILE[name]
        else:
            assert "\x1b" not in out
    assert main(["report", str(store), "--out", str(tmp_path / "report")]) == 0


@pytest.mark.parametrize("name", ["surrogate", "escaped byte", "escape", "markup", "newline"])
def test_a_run_keeps_its_label(name, tmp_path, capsys):
    label = HOSTILE[name]
    diffkg_recbole.run("Pop", "tiny", config_dict={
        "label": label, "epochs": 1, "show_progress": False, "use_gpu": False}, store=tmp_path)
    (record,) = RunStore(tmp_path).scan().records
    assert record.label == record.config()["label"] == label
    assert main(["runs", "list", "--store", str(tmp_path)]) == 0
    assert main(["runs", "show", record.folder.name, "--store", str(tmp_path)]) == 0
    assert main(["report", str(tmp_path), "--out", str(tmp_path / "report")]) == 0
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(
        {"title": label, "datasets": ["tiny"], "models": [{"model": "Pop", "label": label}]}))
    (run,) = make_plan(read_comparison(tmp_path / "c.yaml"), RunStore(tmp_path / "x")).runs
    assert run.label == label
    (word,) = (flag for flag in run.flags if flag.startswith("--label="))
    word.encode()
    assert name == "escape" or parse_word(word.removeprefix("--label=")) == label
    assert main(["compare", str(tmp_path / "c.yaml"), "--dry-run", "--store",
                 str(tmp_path / "x")]) == 0


@pytest.mark.parametrize("text", ["\ud800", "a\udfffb", "caf\udce9"], ids=["high", "low", "byte"])
def test_lone_surrogates_elsewhere(text, tmp_path):
    with pytest.raises(UserError, match="control characters") as error:
        checked_dataset_name(text)
    str(error.value).encode()
    with pytest.raises(UserError) as error:
        diffkg_recbole.run("Pop", text, store=tmp_path)
    str(error.value).encode()
    for key in ("topk", "data_path", "learning_rate", text):
        with pytest.raises(UserError) as error:
            diffkg_recbole.run("BPR", "tiny", config_dict={key: text}, store=tmp_path)
        str(error.value).encode()
    escaped = text.encode("ascii", "backslashreplace").decode()
    (tmp_path / "own.yaml").write_text(f'label: "{escaped}"\n')
    assert read_yaml(tmp_path / "own.yaml")[0] == {"label": text}
    assert parse_word(flag_text(text)) == text
