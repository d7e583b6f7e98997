"""The report is one page that works by itself, tested in a browser without a network."""

import base64
import json
import os
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from retina_adapt.report import (
    ModelIdentity,
    ReportEntry,
    ReportInputError,
    ReportWriteError,
    report_entry,
    write_report,
)
from retina_adapt.report.quality import measured_frame

MODELS = [ModelIdentity("backbone", "toy", "b" * 64), ModelIdentity("adaptor", "light", "a" * 64, "residual", "light")]
HOSTILE_NAME = '<img src=x onerror=alert(1)> & "co".png'


@pytest.fixture(scope="module")
def entries(fundus) -> list[ReportEntry]:
    pixels, _, mask = fundus
    blurred = cv2.GaussianBlur(pixels, (0, 0), 3)
    versions = [pixels, np.clip(pixels * 1.02, 0, 1).astype(np.float32)]
    return [
        report_entry("sub/b.png", pixels * np.float32(0.6), pixels, adaptor="light", mask=mask, versions=versions),
        report_entry("a10.png", pixels, blurred, adaptor="haze", mask=mask),
        report_entry(HOSTILE_NAME, blurred, pixels, adaptor="light", mask=mask),
    ]


@pytest.fixture(scope="module")
def report(entries, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_report(entries, path, models=MODELS, settings={"mode": "fast"}, failures=["c.png: empty"])
    return path


@pytest.fixture
def page(browser, report):
    browser.get("about:blank")
    browser.get(report.as_uri())
    return browser


def test_an_entry_holds_a_picture_of_every_map_at_most_1000_px(fundus):
    wide = np.tile(cv2.resize(fundus[0], (800, 800)), (1, 2, 1))
    measured, _ = measured_frame(wide, np.ones((800, 1600), bool))
    versions = [measured, measured]
    entry = report_entry("wide.png", wide, wide, adaptor="none", field_of_view="full_frame", versions=versions)
    sizes = {}
    for name, address in entry.pictures.items():
        sizes[name] = Image.open(BytesIO(base64.b64decode(address.split(",")[1]))).size
    assert entry.size == (1600, 800)
    assert sizes["before"] == sizes["after"] == (1000, 500)
    assert sizes.keys() == {"thumbnail", "before", "after", "change", "vessels", "uncertainty"}


def test_the_page_refers_to_nothing_outside_itself(report):
    text = report.read_text(encoding="utf-8")
    addresses = []
    parser = HTMLParser()
    parser.handle_starttag = lambda _, attributes: addresses.extend(
        value for name, value in attributes if name in ("src", "href", "action", "srcset", "data")
    )
    parser.feed(text)
    assert len(addresses) > 10
    assert all(address.startswith(("data:", "#")) for address in addresses)
    assert "url(" not in text
    assert "@import" not in text
    assert "http://" not in text
    assert "https://" not in text
    assert "default-src &#39;none&#39;" in text or "default-src 'none'" in text


def test_it_names_models_with_fingerprints_settings_failures_and_bounds(report):
    text = report.read_text(encoding="utf-8")
    for part in ("a" * 64, "b" * 64, "residual", "mode fast", "c.png: empty", "more than 15 %", "more than 6 %"):
        assert part in text


def test_a_file_name_is_never_markup(report):
    assert "<img src=x" not in report.read_text(encoding="utf-8")


def test_nothing_to_report_and_another_suffix_are_errors(entries, tmp_path):
    with pytest.raises(ReportInputError, match="no photograph"):
        write_report([], tmp_path / "report.html", models=MODELS, settings={})
    with pytest.raises(ReportInputError, match=r"ends in \.html"):
        write_report(entries, tmp_path / "report.pdf", models=MODELS, settings={})


def test_where_all_were_left_alone_the_page_says_so(tmp_path: Path) -> None:
    write_report([], tmp_path / "report.html", models=MODELS, settings={}, left_alone=3)
    assert "the router found them clear: 3" in (tmp_path / "report.html").read_text()


def test_a_folder_that_cannot_be_written_is_an_error(entries, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ReportWriteError, match="cannot write"):
        write_report(entries, tmp_path / "file" / "report.html", models=MODELS, settings={})


def test_a_file_name_that_is_no_utf8_is_shown_with_escapes(tmp_path):
    name = os.fsdecode("müller.png".encode("latin-1"))
    write_report([], tmp_path / "report.html", models=MODELS, settings={}, failures=[f"{name}: broken"])
    assert r"m\udcfcller.png: broken" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_only_failures_make_a_report_too(tmp_path):
    write_report([], tmp_path / "report.html", models=MODELS, settings={}, failures=["x.png: broken"])
    assert "x.png: broken" in (tmp_path / "report.html").read_text(encoding="utf-8")


def names_in_table(page) -> list[str]:
    script = "return [...document.querySelectorAll('#overview tbody tr')].filter(r => !r.hidden)"
    return page.execute_script(script + ".map(r => r.cells[0].dataset.value)")


def view_of(page):
    return page.find_element("css selector", ".photograph:not([hidden]) .viewer")


def press(page, view: str):
    view_of(page).find_element("css selector", f".views button[data-value={view}]").click()


def test_the_browser_asks_no_network_and_reports_no_error(page, report):
    requested = [json.loads(entry["message"])["message"] for entry in page.get_log("performance")]
    addresses = [
        message["params"]["request"]["url"] for message in requested if message["method"] == "Network.requestWillBeSent"
    ]
    own = ("data:", "about:", "chrome", report.as_uri())  # the browser's own first page is at chrome://
    assert [address for address in addresses if not address.startswith(own)] == []
    assert page.get_log("browser") == []
    loaded = "return [...document.images].every(i => i.complete && i.naturalWidth > 0)"
    assert page.execute_script(loaded)


def test_a_click_on_a_heading_sorts_and_another_one_turns_it_round(page):
    kept = page.find_element("xpath", "//th/button[text()='Sharpness']")
    kept.click()
    descending = names_in_table(page)
    assert descending[-1] == "a10.png"  # the one that was blurred
    kept.click()
    assert names_in_table(page) == descending[::-1]
    assert kept.find_element("xpath", "..").get_attribute("aria-sort") == "ascending"


def test_the_table_is_filtered_by_name_and_warning(page):
    page.find_element("id", "find").send_keys("haze")
    assert names_in_table(page) == ["a10.png"]
    page.find_element("id", "find").clear()
    page.find_element("id", "find").send_keys(" ")
    page.find_element("id", "only-warned").click()
    assert "sub/b.png" not in names_in_table(page)


def test_a_click_on_a_row_shows_that_photograph_alone(page):
    page.find_element("css selector", "tr[data-photograph='3'] td").click()
    shown = [article for article in page.find_elements("css selector", ".photograph") if article.is_displayed()]
    assert [article.find_element("tag name", "h2").text for article in shown] == [HOSTILE_NAME]
    assert page.current_url.endswith("#photograph-3")


def test_arrow_keys_go_through_the_table(page):
    from selenium.webdriver.common.keys import Keys

    page.find_element("css selector", "tr[data-photograph='1'] a").send_keys(Keys.ARROW_DOWN)
    assert page.find_element("css selector", "tr[aria-current=true]").get_attribute("data-photograph") == "2"


def test_the_slider_moves_the_border_between_before_and_after_with_the_keyboard(page):
    from selenium.webdriver.common.keys import Keys

    slider = view_of(page).find_element("css selector", ".slide input")
    slider.send_keys(Keys.HOME)
    clip = "return getComputedStyle(document.querySelector('.photograph:not([hidden]) [data-layer=after]')).clipPath"
    assert page.execute_script(clip).endswith(" 0%)")
    slider.send_keys(Keys.END)
    assert page.execute_script(clip).endswith(" 100%)")


@pytest.mark.parametrize("view", ["before", "after", "change", "vessels", "uncertainty"])
def test_every_map_has_its_view_and_its_legend(page, view):
    press(page, view)
    viewer = view_of(page)
    assert viewer.find_element("css selector", f"[data-layer={view}]").is_displayed()
    legends = [legend for legend in viewer.find_elements("css selector", ".legend") if legend.is_displayed()]
    assert [legend.get_attribute("data-for") for legend in legends] == ([] if view in ("before", "after") else [view])


def test_a_photograph_without_versions_offers_no_uncertainty(page):
    page.find_element("css selector", "tr[data-photograph='2'] td").click()
    assert not view_of(page).find_elements("css selector", "button[data-value=uncertainty]")


def test_enlargement_enlarges(page):
    stage = view_of(page).find_element("css selector", ".stage")
    width = stage.size["width"]
    view_of(page).find_element("css selector", ".zooms button[data-value='4']").click()
    assert stage.size["width"] == pytest.approx(4 * width, rel=0.02)


def test_everything_that_can_be_operated_has_a_name(page):
    nameless = """return [...document.querySelectorAll('button, input, a, img:not([alt])')].filter(e =>
      !(e.textContent.trim() || e.ariaLabel || e.labels?.length || e.alt)).map(e => e.outerHTML)"""
    assert page.execute_script(nameless) == []
