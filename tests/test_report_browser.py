"""The report's page in a real browser: it sorts, filters and opens by keyboard, fits a phone, runs nothing hostile."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from browsers import BROWSER_MARKS, PHONE, WIDE, emulate, start_browser
from reports import extractive_run, hostile_run, llm_run
from test_page_browser import CONTRAST

from cnaps_rag.evaluation.report.html import render_report

pytestmark = BROWSER_MARKS

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed here")

ENTER, SPACE, TAB = "\ue007", "\ue00d", "\ue004"


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    first, second, hostile = extractive_run(folder / "first"), llm_run(folder / "second"), hostile_run(folder)
    reports = {
        "alone": render_report(first),
        "compared": render_report(second, first, gate_lines=[(True, "ok   every case answered"), (False, "FAIL x")]),
        "hostile": render_report(hostile, hostile, gate_lines=[(False, "<script>window.pwned=1</script>")]),
    }
    for name, page in reports.items():
        (folder / f"{name}.html").write_text(page, encoding="utf-8")
    return {name: folder / f"{name}.html" for name in reports}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    driver = start_browser()
    yield driver
    driver.quit()


Open = Callable[..., Any]


@pytest.fixture
def open_page(browser: Any, pages: dict[str, Path]) -> Open:
    def open_page(name: str, *, size: tuple[int, int] = WIDE, scheme: str = "light", fragment: str = "") -> Any:
        emulate(browser, size, prefers_color_scheme=scheme)
        browser.get("about:blank")  # else another fragment of the same page is no new page
        browser.get_log("performance"), browser.get_log("browser")
        browser.get(pages[name].as_uri() + fragment)
        return browser

    return open_page


def press(browser: Any, *keys: str) -> None:
    webdriver.ActionChains(browser).send_keys(*keys).perform()


def focus(browser: Any, selector: str) -> Any:
    element = browser.find_element("css selector", selector)
    browser.execute_script("arguments[0].focus()", element)
    return element


def shown_rows(browser: Any) -> list[str]:
    """Anchors of the rows that are shown, in their order."""
    return browser.execute_script(
        "return [...document.querySelectorAll('#table tbody tr:not([hidden])')].map(row => row.dataset.row)"
    )


def column(browser: Any, title: str) -> int:
    heads = browser.execute_script("return [...document.querySelectorAll('#table thead th')].map(th => th.textContent)")
    return heads.index(title)


def values(browser: Any, title: str) -> list[str]:
    return browser.execute_script(
        "return [...document.querySelectorAll('#table tbody tr')].map(row => row.cells[arguments[0]].dataset.value)",
        column(browser, title),
    )


def open_cases(browser: Any) -> list[str]:
    return browser.execute_script("return [...document.querySelectorAll('.case[open]')].map(one => one.dataset.row)")


def open_all(browser: Any) -> None:
    browser.execute_script("for (const one of document.querySelectorAll('details')) one.open = true")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [PHONE, WIDE], ids=["phone", "wide"])
@pytest.mark.parametrize("name", ["alone", "compared", "hostile"])
def test_a_page_is_quiet_and_fits_its_screen(open_page: Open, name: str, size: tuple[int, int], scheme: str) -> None:
    browser = open_page(name, size=size, scheme=scheme)
    open_all(browser)
    width, screen = browser.execute_script("return [document.scrollingElement.scrollWidth, innerWidth]")
    assert width <= screen == size[0]
    assert browser.execute_script("return window.pwned") is None
    assert browser.execute_script("return document.title") != ""
    asked = [
        message["params"]["request"]["url"]
        for entry in browser.get_log("performance")
        if (message := json.loads(entry["message"])["message"])["method"] == "Network.requestWillBeSent"
    ]
    assert asked == [browser.current_url.partition("#")[0]]
    assert [entry["message"] for entry in browser.get_log("browser")] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["compared", "hostile"])
def test_every_text_has_the_contrast_that_wcag_asks_for(open_page: Open, name: str, scheme: str) -> None:
    browser = open_page(name, scheme=scheme)
    open_all(browser)
    contrast, text = browser.execute_script(CONTRAST)
    assert contrast >= 4.5, text  # WCAG 2.2, criterion 1.4.3


def test_drawings_follow_the_scheme(open_page: Open) -> None:
    fills = {
        scheme: open_page("compared", scheme=scheme).execute_script(
            "return getComputedStyle(document.querySelector('.plot text')).fill"
        )
        for scheme in ("light", "dark")
    }
    assert fills["light"] != fills["dark"]


def test_columns_sort_by_keyboard_and_say_so(open_page: Open) -> None:
    browser = open_page("compared")
    place = column(browser, "Seconds") + 1
    focus(browser, f"#table thead th:nth-child({place}) button")
    for key, way, sign in ((ENTER, "ascending", 1), (SPACE, "descending", -1)):
        press(browser, key)
        assert (
            browser.execute_script(
                f"return document.querySelector('#table thead th:nth-child({place})').getAttribute('aria-sort')"
            )
            == way
        )
        found = values(browser, "Seconds")
        scored = [float(value) for value in found if value]
        assert scored == sorted(scored, key=lambda value: sign * value)
        assert found[-1] == ""  # the failed answer stands last both ways
    press(browser, TAB)
    assert browser.switch_to.active_element.tag_name in ("button", "a")
    sorts = browser.execute_script("return document.querySelectorAll('[aria-sort]:not([aria-sort=none])').length")
    assert sorts == 1


def test_a_click_sorts_by_case_backwards_too(open_page: Open) -> None:
    browser = open_page("alone")
    button = browser.find_element("css selector", "#table thead button")
    button.click()
    button.click()
    assert shown_rows(browser) == [f"case-c0{n}" for n in (5, 4, 3, 2, 1, 0)]


def test_filters_by_text_tag_failure_and_value(open_page: Open) -> None:
    browser = open_page("compared")
    assert len(shown_rows(browser)) == 12
    focus(browser, "#filter-text")
    press(browser, "c03 NOISE")
    assert shown_rows(browser) == ["case-c03", "case-c03:1"]
    assert browser.find_element("id", "count").text == "2 of 12 answers"
    hidden = browser.execute_script("return document.querySelectorAll('#details > .case[hidden]').length")
    assert hidden == 10
    browser.execute_script("document.querySelector('.filters').reset()")
    focus(browser, "#filter-tag")
    press(browser, "odd")
    assert len(shown_rows(browser)) == 6
    browser.execute_script("document.querySelector('.filters').reset()")
    focus(browser, "#filter-failed")
    press(browser, SPACE)
    assert shown_rows(browser) == ["case-c00"]
    press(browser, SPACE)
    browser.execute_script(
        "const list = document.getElementById('filter-metric'); list.value = arguments[0]",
        str(column(browser, "LLM calls") - 1),
    )
    focus(browser, "#filter-below")
    press(browser, "0")
    assert shown_rows(browser) == []


@pytest.mark.parametrize("size", [PHONE, WIDE], ids=["phone", "wide"])
def test_a_case_opens_from_the_table_by_keyboard(open_page: Open, size: tuple[int, int]) -> None:
    browser = open_page("compared", size=size)
    focus(browser, '#table a[href="#case-c02:1"]')
    press(browser, ENTER)
    assert open_cases(browser) == ["case-c02:1"]
    top = browser.execute_script("return document.getElementById('case-c02:1').getBoundingClientRect().top")
    assert 0 <= top < size[1] / 2
    assert browser.switch_to.active_element.tag_name == "summary"
    press(browser, ENTER)  # closes it again; the same link opens it once more
    assert open_cases(browser) == []
    focus(browser, '#table a[href="#case-c02:1"]')
    press(browser, ENTER)
    assert open_cases(browser) == ["case-c02:1"]


def test_a_link_opens_a_case_that_the_filter_hid(open_page: Open) -> None:
    browser = open_page("compared")
    focus(browser, "#filter-text")
    press(browser, "nothing at all")
    assert shown_rows(browser) == []
    browser.execute_script("location.hash = '#case-c04'")
    browser.execute_async_script("setTimeout(arguments[0], 100)")
    assert open_cases(browser) == ["case-c04"]
    assert len(shown_rows(browser)) == 12


def test_hostile_ids_open_their_cases_too(open_page: Open) -> None:
    browser = open_page("hostile")
    for place in range(3):
        browser.find_elements("css selector", "#table tbody a")[place].click()
        browser.execute_async_script("setTimeout(arguments[0], 50)")
        assert len(open_cases(browser)) == place + 1
    assert browser.execute_script("return window.pwned") is None


def test_evidence_is_marked_in_its_source_and_leads_back(open_page: Open) -> None:
    browser = open_page("alone", fragment="#case-c02")
    mark = browser.find_element("css selector", ".case[open] .marks a")
    number = mark.text
    mark.click()
    browser.execute_async_script("setTimeout(arguments[0], 100)")
    lit = browser.find_element("css selector", "mark:target, mark:has(:target)")
    assert lit.text.startswith(number)
    assert lit.value_of_css_property("background-color") == "rgba(255, 217, 100, 1)"
    lit.find_element("css selector", "sup a").click()
    assert browser.execute_script("return document.querySelector(':target').closest('.answer') !== null")


def test_answers_stand_side_by_side_or_on_a_phone_below_each_other(open_page: Open) -> None:
    for size, is_beside in ((WIDE, True), (PHONE, False)):
        browser = open_page("compared", size=size, fragment="#case-c02")
        first, second = browser.execute_script(
            "return [...document.querySelectorAll('.case[open] .answer')].map(one => one.getBoundingClientRect().top)"
        )
        assert (first == second) is is_beside


def test_without_its_script_all_but_sorting_is_there(browser: Any, pages: dict[str, Path]) -> None:
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.get("about:blank")
        browser.get(f"{pages['compared'].as_uri()}#case-c02")
        assert browser.find_element("id", "case-c02").is_displayed()
        assert not browser.find_element("css selector", ".filters").is_displayed()
        assert browser.find_element("id", "table").is_displayed()
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_the_policy_stops_a_script_that_got_in(open_page: Open) -> None:
    browser = open_page("alone")
    browser.execute_script(
        """const script = document.createElement('script'); script.textContent = 'window.pwned = 1';
        document.body.append(script); const image = new Image(); image.src = 'https://evil.example/x.png';
        document.body.insertAdjacentHTML('beforeend', '<b onclick="window.pwned = 1" id="trap">x</b>');
        document.getElementById('trap').click();"""
    )
    assert browser.execute_script("return window.pwned") is None
    assert any("Content Security Policy" in entry["message"] for entry in browser.get_log("browser"))
