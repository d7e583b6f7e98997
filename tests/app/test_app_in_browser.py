"""A user's way through the app, in a real browser."""

import json
from pathlib import Path

import pytest

from retina_adapt.enhancement import EnhancementSettings
from retina_adapt.imaging import Photograph, read_photograph, write_photograph
from retina_adapt.imaging.synthetic_fundus import draw_fundus


@pytest.fixture
def page(browser, address):
    browser.get(address)
    return browser


@pytest.fixture
def files(tmp_path, eye) -> list[Path]:
    (tmp_path / "left <b>eye.png").write_bytes(eye)
    (tmp_path / "broken.png").write_bytes(b"words")
    return [tmp_path / "left <b>eye.png", tmp_path / "broken.png"]


def wait_for(page, selector: str, visible: bool = True):
    from selenium.common.exceptions import StaleElementReferenceException
    from selenium.webdriver.support.ui import WebDriverWait

    def found(driver):
        elements = [element for element in driver.find_elements("css selector", selector) if element.is_displayed()]
        return (elements[0] if elements else None) if visible else not elements

    # The page may take an element away between finding it and looking at it.
    return WebDriverWait(page, 60, ignored_exceptions=[StaleElementReferenceException]).until(found)


def load(page, file: Path) -> None:
    page.find_element("id", "files").send_keys(str(file))
    wait_for(page, ".photographs li")


def weigh(page, adaptor: str, weight: float) -> None:
    script = "const s = document.querySelector(`[data-adaptor=${arguments[0]}]`); s.value = arguments[1]; "
    page.execute_script(script + "s.dispatchEvent(new Event('input', {bubbles: true}))", adaptor, weight)


def test_load_blend_enhance_look_and_download(page, files, downloads):
    load(page, files[0])
    assert page.find_element("css selector", "#preview h2").text == "left <b>eye.png"
    weigh(page, "light", 0.5)
    weigh(page, "haze", 0.75)
    page.find_element("id", "enhance").click()
    viewer = wait_for(page, "#result .viewer")
    assert "0.5 light + 0.75 haze" in page.find_element("id", "result").text
    for view in ("change", "vessels"):
        viewer.find_element("css selector", f"button[data-value={view}]").click()
        assert viewer.find_element("css selector", f"[data-layer={view}]").is_displayed()
    page.find_element("id", "download").click()
    expected = downloads / "left _b_eye_enhanced.png"
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(page, 30).until(lambda _: any(downloads.glob("left*_enhanced.png")), f"no {expected}")
    (downloaded,) = downloads.glob("left*_enhanced.png")
    weights = {used.name: used.weight for used in read_photograph(downloaded).provenance.adaptors}
    assert weights == {"light": 0.5, "haze": 0.75}


def test_adaptors_act_one_after_the_other_in_the_order_switched_on(page, files, studio):
    load(page, files[0])
    weigh(page, "light", 0)
    weigh(page, "haze", 0.75)
    weigh(page, "light", 1)
    page.find_element("name", "in_sequence").click()
    labels = [output.text for output in page.find_elements("css selector", ".weight output") if output.text != "off"]
    assert sorted(labels) == ["1. 0.75", "2. 1.00"]
    page.find_element("id", "enhance").click()
    wait_for(page, "#result .viewer")
    assert "0.75 haze, then light" in page.find_element("id", "result").text
    (loaded,) = studio.photographs.values()
    used = read_photograph(loaded.result.file).provenance.adaptors
    assert [(adaptor.name, adaptor.weight, adaptor.turn) for adaptor in used] == [("haze", 0.75, 1), ("light", 1, 2)]


def test_sampling_with_several_seeds_shows_uncertainty(page, files):
    load(page, files[0])
    page.find_element("css selector", "[name=mode] option[value=diffusion]").click()
    steps = wait_for(page, "[name=steps]")
    steps.clear()
    steps.send_keys("1")
    page.find_element("id", "enhance").click()
    viewer = wait_for(page, "#result .viewer")
    viewer.find_element("css selector", "button[data-value=uncertainty]").click()
    assert viewer.find_element("css selector", "[data-layer=uncertainty]").is_displayed()


@pytest.mark.parametrize(("name", "value"), [("steps", "999"), ("seed", ""), ("seeds", "1.5")])
@pytest.mark.parametrize("button", ["enhance", "enhance-all"])
def test_numbers_for_sampling_that_cannot_be_used_are_shown_and_keep_nobody_from_the_other_mode(
    page, files, studio, name, value, button
):
    load(page, files[0])
    page.find_element("css selector", "[name=mode] option[value=diffusion]").click()
    field = wait_for(page, f"[name={name}]")
    field.clear()
    field.send_keys(value)
    page.find_element("id", button).click()
    assert page.switch_to.active_element == field
    assert [loaded.result for loaded in studio.photographs.values()] == [None]
    assert not page.find_element("id", "message").is_displayed()
    page.find_element("css selector", "[name=mode] option[value=fast]").click()
    page.find_element("id", button).click()
    wait_for(page, "#result .viewer")


def test_the_download_of_a_result_that_was_replaced_since_says_so(page, files, studio, downloads):
    load(page, files[0])
    page.find_element("id", "enhance").click()
    wait_for(page, "#result .viewer")
    before = set(downloads.iterdir())
    studio.enhance(next(iter(studio.photographs)), {"haze": 1}, EnhancementSettings())
    page.find_element("id", "download").click()
    assert "this result was replaced since" in wait_for(page, "#message").text
    assert set(downloads.iterdir()) == before


def test_a_broken_file_is_named_and_does_not_stop_the_rest(page, files):
    page.find_element("id", "files").send_keys(f"{files[1]}\n{files[0]}")
    wait_for(page, ".photographs li")
    assert "broken.png" in wait_for(page, "#message").text
    assert len(page.find_elements("css selector", ".photographs li")) == 1


def test_a_page_that_is_loaded_anew_finds_its_photographs_and_results(page, files):
    load(page, files[0])
    page.find_element("id", "enhance").click()
    wait_for(page, "#result .viewer")
    page.refresh()
    assert "enhanced" in wait_for(page, ".photographs li").text
    assert wait_for(page, "#result .viewer")
    page.find_element("css selector", ".photographs .remove").click()
    wait_for(page, ".photographs li", visible=False)


def test_what_may_be_wrong_with_a_file_is_shown_before_and_after_enhancing_it(page, tmp_path, files):
    deep = Photograph(draw_fundus(0, 160)[0] / 16, bit_depth=16)
    write_photograph(deep, tmp_path / "12 bits.png")
    load(page, tmp_path / "12 bits.png")
    assert "12 bits.png: its brightest sample is" in wait_for(page, "#doubt").text
    page.find_element("id", "enhance").click()
    wait_for(page, "#result .viewer")
    assert page.find_element("id", "doubt").is_displayed()
    page.find_element("id", "files").send_keys(str(files[0]))
    wait_for(page, "#doubt", visible=False)


def test_a_removed_photograph_is_gone(page, files, studio):
    load(page, files[0])
    page.find_element("css selector", ".photographs .remove").click()
    wait_for(page, ".photographs li", visible=False)
    assert wait_for(page, "#welcome")
    assert studio.photographs == {}


def test_the_page_asks_nobody_but_the_app_and_reports_no_error(page, address, files):
    page.get_log("performance")
    page.get_log("browser")
    load(page, files[0])
    page.find_element("id", "enhance").click()
    wait_for(page, "#result .viewer")
    messages = [json.loads(entry["message"])["message"] for entry in page.get_log("performance")]
    asked = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    assert asked
    assert [url for url in asked if not url.startswith((address, "data:", "chrome"))] == []
    assert page.get_log("browser") == []
    nameless = """return [...document.querySelectorAll('button, input, select, a')].filter(e =>
      !(e.textContent.trim() || e.ariaLabel || e.labels?.length)).map(e => e.outerHTML)"""
    assert page.execute_script(nameless) == []
