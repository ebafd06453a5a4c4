"""The page as text: complete, self-contained, and unimpressed by hostile names."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from html.parser import HTMLParser

import pytest

from diffkg_recbole.report import Report
from diffkg_recbole.report.html import render_html

MEGABYTE = 10**6
_VOID = {"meta", "input", "br", "path"}


class Page(HTMLParser):
    """Elements, attributes, visible text and scripts of a page; fails on unbalanced tags."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.words: list[str] = []
        self.feed(source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append((dict(attrs), ""))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.scripts[-1] = (self.scripts[-1][0], self.scripts[-1][1] + data)
        elif not self.open or self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module", params=["showcase", "hostile", "published"])
def source(request: pytest.FixtureRequest) -> str:
    return render_html(request.getfixturevalue(request.param))


def test_page_is_well_formed_small_and_self_contained(source: str) -> None:
    assert len(source.encode()) < 5 * MEGABYTE
    page = Page(source)
    loads = [(tag, name, value) for tag, attrs in page.tags for name, value in attrs.items()
             if name in ("src", "srcset", "href", "data", "action", "background", "poster")]
    assert all(name == "href" and value.startswith("#part") for _, name, value in loads)
    assert not {tag for tag, _ in page.tags} & {"link", "iframe", "img", "object", "base", "form"}
    style = re.search(r"<style>(.*?)</style>", source, flags=re.S).group(1)
    assert "url(" not in style
    assert "@import" not in style
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))


def test_only_the_two_known_scripts_may_run(source: str) -> None:
    page = Page(source)
    policy = next(attrs["content"] for tag, attrs in page.tags
                  if attrs.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy.split("style-src")[0]
    runnable = [content for attrs, content in page.scripts if "type" not in attrs]
    packed = next(content for attrs, content in page.scripts if attrs.get("id") == "plotly")
    plotly = gzip.decompress(base64.b64decode(packed)).decode()
    allowed = set(re.findall(r"'sha256-([^']+)'", policy))
    assert {base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
            for content in (*runnable, plotly)} == allowed
    assert len(runnable) == 1
    assert not [name for _, attrs in page.tags for name in attrs if name.startswith("on")]


def test_every_chart_carries_its_figures(source: str) -> None:
    page = Page(source)
    figures = [json.loads(content) for attrs, content in page.scripts
               if attrs.get("type") == "application/json"]
    assert len(figures) == sum(tag == "figure" for tag, _ in page.tags) >= 7
    assert all(figure["data"] and "layout" in figure for choices in figures for figure in choices)


def test_page_says_what_a_reader_must_see(showcase: Report) -> None:
    text = Page(render_html(showcase)).text
    one = showcase.sections[0]
    for expected in (
            "A showcase", *one.sentences, "protocol clean", "Masked when ranking",
            "the validation part, cut from train per user", one.section.fingerprint["all"],
            "Test pairs also in train", "two-sided Wilcoxon signed-rank", "corrected with Holm",
            "MCCLK", "RuntimeError: out of memory <b>(5.9 GB)</b>", "diffkg-recbole run --model",
            "embedding_size: 64", "an invented processor", "2.13.0"):
        assert expected in text, expected
    for row in one.section.rows:
        assert row.label in text


def test_published_numbers_come_with_source_doubts_and_the_selection_mark(
    published: Report,
) -> None:
    text = Page(render_html(published)).text
    for expected in ("test-selected", "not measured here", "Jiang et al., DiffKG, WSDM 2024",
                     "Doubts: epoch chosen on the test part", "Published Recall@20 [1]", "0.0980",
                     "Published, but not run here (Recall@20 / NDCG@20): BPR 0.0690 / 0.0585"):
        assert expected in text, expected


def test_hostile_text_stays_text(hostile: Report) -> None:
    source = render_html(hostile)
    page = Page(source)
    assert not [attrs for tag, attrs in page.tags if tag == "img"]
    assert "<img src=x onerror=alert(1)>" in page.text
    assert '<script>document.title="taken"</script>' in page.text
    assert "\x1b" not in source
    assert "torn <b>" in page.text


def test_missing_pieces_are_said(hostile: Report) -> None:
    text = Page(render_html(hostile)).text
    assert "KGIN is not tested against others: users.parquet is missing." in text
    assert "one seed only" in text


def test_a_page_without_any_result(tmp_path) -> None:  # type: ignore[no-untyped-def]
    from diffkg_recbole.report import build_report
    from diffkg_recbole.store import RunStore
    from tests.report.fake_runs import FakeRun, write_fake_run

    write_fake_run(tmp_path, FakeRun(users=20, items=20, broken="ValueError: no"))
    text = Page(render_html(build_report(RunStore(tmp_path).scan().records))).text
    assert "Of these runs none has finished" in text
    assert "ValueError: no" in text
