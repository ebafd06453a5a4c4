"""The page in a real Chromium, opened from disk: drawn, sorted, dark, narrow, silent."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from diffkg_recbole.report import Report, write_report

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser",
                                                "google-chrome"))), None)
CHROMEDRIVER = shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(CHROMIUM is None or CHROMEDRIVER is None,
                                reason="Chromium and chromedriver are not installed")

FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync")
SIZES = {"wide": (1400, 1000), "narrow": (390, 844)}


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = webdriver.ChromeService(CHROMEDRIVER)
    browser = webdriver.Chrome(options=options, service=service)
    yield browser
    browser.quit()


@pytest.fixture(scope="module")
def pages(
    tmp_path_factory: pytest.TempPathFactory, showcase: Report, hostile: Report,
    published: Report,
) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("pages")
    reports = {"showcase": showcase, "hostile": hostile, "published": published}
    return {name: write_report(report, root / name)[0] for name, report in reports.items()}


def _open(driver: Any, page: Path, size: str = "wide", dark: bool = False) -> None:
    width, height = SIZES[size]
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
        "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600})
    _set_scheme(driver, dark)
    driver.get(page.as_uri())
    _wait(driver, "return document.documentElement.dataset.charts === 'drawn'")


def _set_scheme(driver: Any, dark: bool) -> None:
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})


def _wait(driver: Any, script: str) -> None:
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(driver, 30).until(lambda one: one.execute_script(script))


@pytest.mark.parametrize(("name", "size"), [
    ("showcase", "wide"), ("showcase", "narrow"), ("hostile", "narrow"), ("published", "wide")])
def test_opens_from_disk_silently_and_draws_every_chart(
    driver: Any, pages: dict[str, Path], name: str, size: str
) -> None:
    driver.get_log("performance")  # forget what came before
    driver.get_log("browser")
    _open(driver, pages[name], size)
    assert driver.get_log("browser") == []
    requested = [message["params"]["request"]["url"] for message in
                 (json.loads(line["message"])["message"] for line in driver.get_log("performance"))
                 if message["method"] == "Network.requestWillBeSent"]
    inside = ("file:", "data:", "blob:", "chrome:")  # the last: Chromium's own empty first tab
    assert pages[name].as_uri() in requested
    assert [url for url in requested if not url.startswith(inside)] == []
    figures, marks = driver.execute_script("""
        const figures = [...document.querySelectorAll("figure.chart")];
        return [figures.length, figures.map((one) =>
            one.querySelectorAll(".plot svg .scatterlayer .point, .plot svg .js-line").length)];
    """)
    assert figures >= 7
    assert min(marks) > 0
    assert driver.execute_script("return document.title") != "taken"
    _check_width(driver, SIZES[size][0])


def _check_width(driver: Any, width: int) -> None:
    """Nothing but the tables' own boxes scrolls sideways, even with everything unfolded."""
    driver.execute_script("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    assert driver.execute_script("return document.documentElement.scrollWidth") <= width
    boxes = driver.execute_script("""
        return [...document.querySelectorAll(".plot .main-svg")].map((one) => {
            const box = one.getBoundingClientRect(); return [box.left, box.right]; });
    """)
    assert boxes
    assert all(left >= 0 and right <= width for left, right in boxes)


def _column(driver: Any, place: int) -> list[str]:
    return driver.execute_script("""
        return [...document.querySelectorAll("table.sortable tbody tr")]
            .map((row) => row.cells[arguments[0]].dataset.value ?? "");
    """, place)


def test_table_sorts_by_mouse_and_keyboard(driver: Any, pages: dict[str, Path]) -> None:
    from selenium.webdriver.common.keys import Keys

    _open(driver, pages["showcase"])
    headers = driver.find_elements("css selector", "table.sortable thead tr:last-child th")
    titles = [header.text.replace("\n", " ") for header in headers]
    recall = titles.index("Recall@20")
    before = _column(driver, recall)
    assert [float(value) for value in before] == sorted(map(float, before), reverse=True)

    button = headers[recall].find_element("tag name", "button")
    button.click()
    assert headers[recall].get_attribute("aria-sort") == "descending"
    button.send_keys(Keys.ENTER)
    assert headers[recall].get_attribute("aria-sort") == "ascending"
    assert _column(driver, recall) == before[::-1]
    sorts = [header.get_attribute("aria-sort") for header in headers]
    assert sorts.count("none") == len(sorts) - 1

    model = titles.index("Model")
    headers[model].find_element("tag name", "button").click()
    names = _column(driver, model)
    assert names[0] == "bpr"
    assert names == sorted(names, key=lambda name: name.replace(",", "\0"))

    interval = titles.index("95 % interval")
    headers[interval].find_element("tag name", "button").click()
    assert _column(driver, interval)[-1] == ""  # the reference has none and stays last
    headers[interval].find_element("tag name", "button").click()
    assert _column(driver, interval)[-1] == ""


def test_columns_that_do_not_fit_wait_behind_a_chip(driver: Any, pages: dict[str, Path]) -> None:
    cell = "table.sortable tbody [data-group=difference]"
    _open(driver, pages["showcase"], "narrow")
    assert not driver.find_element("css selector", cell).is_displayed()
    driver.execute_script("document.querySelector('.chips input[value=difference]').click()")
    assert driver.find_element("css selector", cell).is_displayed()
    _open(driver, pages["showcase"], "wide")
    assert driver.find_element("css selector", cell).is_displayed()


def test_menu_and_legend_change_the_charts(driver: Any, pages: dict[str, Path]) -> None:
    _open(driver, pages["showcase"])
    title = "return document.querySelector('#part1-metric .xtitle').textContent"
    assert driver.execute_script(title) == "Recall@20"
    driver.execute_script("""
        const menu = document.querySelector("#part1-metric select");
        menu.selectedIndex = 1;
        menu.dispatchEvent(new Event("change"));
    """)
    _wait(driver, f"{title} === 'NDCG@20'")
    lines = "return document.querySelectorAll('#part1-curves .js-line').length"
    assert driver.execute_script(lines) == 12  # six rows, two seeds
    buttons = ".lines button[data-row='0']"
    driver.find_element("css selector", buttons).click()
    _wait(driver, f"{lines} === 10")
    pressed = driver.execute_script(
        f'return [...document.querySelectorAll("{buttons}")].map((b) => b.ariaPressed)')
    assert len(pressed) == 3
    assert set(pressed) == {"false"}


def test_dark_and_light_follow_the_system(driver: Any, pages: dict[str, Path]) -> None:
    ink = ("return getComputedStyle(document.querySelector("
           "'#part1-metric .ytick text')).fill")
    paper = "return getComputedStyle(document.body).backgroundColor"
    _open(driver, pages["showcase"], dark=True)
    dark = (driver.execute_script(ink), driver.execute_script(paper))
    _set_scheme(driver, dark=False)  # the open page changes, charts included
    _wait(driver, f"return (() => {{ {ink} }})() !== '{dark[0]}'")
    light = (driver.execute_script(ink), driver.execute_script(paper))
    assert _contrast(*dark) > 7
    assert _contrast(*light) > 7
    assert _luminance(dark[1]) < 0.1 < 0.8 < _luminance(light[1])


@pytest.mark.parametrize("dark", [False, True])
def test_small_text_is_readable(driver: Any, pages: dict[str, Path], dark: bool) -> None:
    _open(driver, pages["published"], dark=dark)
    pairs = driver.execute_script("""
        const solid = (node) => {
            for (let one = node; one; one = one.parentElement) {
                const color = getComputedStyle(one).backgroundColor;
                if (/^rgb\\(/.test(color)) return color;
            }
            return "rgb(255, 255, 255)";
        };
        const chosen = "figcaption, .facts dt, .quiet, .sd, .badge, .finding, .notice, thead th";
        return [...document.querySelectorAll(chosen)]
            .map((one) => [getComputedStyle(one).color, solid(one), one.className]);
    """)
    assert len(pairs) > 20
    assert [pair for pair in pairs if _contrast(pair[0], pair[1]) < 4.5] == []


def _luminance(color: str) -> float:
    """Relative luminance of ``rgb(r, g, b)``, after WCAG 2."""
    parts = [float(part) / 255 for part in color[color.index("(") + 1:-1].split(",")[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(one: str, other: str) -> float:
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)
