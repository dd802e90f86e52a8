"""The page in a real browser: what lights up, that it fits a phone, and that hostile sources stay text."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from answers import hostile_body, seed_body
from browsers import BROWSER_MARKS, PHONE, WIDE, emulate, start_browser

from cnaps_rag.render.html import render_html
from cnaps_rag.render.layout import AnswerBody, shown_line
from cnaps_rag.render.markdown import render_markdown

pytestmark = BROWSER_MARKS

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed here")

WAIT_MS = 400  # past the transitions of the style sheet and the wait of the script


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    driver = start_browser()
    yield driver
    driver.quit()


Open = Callable[..., Any]


@pytest.fixture
def open_page(browser: Any, tmp_path: Path) -> Open:
    def open_page(body: AnswerBody, *, size: tuple[int, int] = WIDE, scheme: str = "light") -> Any:
        page = tmp_path / "page.html"
        page.write_text(render_html(body, is_traceable=True), encoding="utf-8")
        emulate(browser, size, prefers_color_scheme=scheme, prefers_reduced_motion="reduce")
        browser.get_log("performance"), browser.get_log("browser")
        browser.get(page.as_uri())
        return browser

    return open_page


def wait(browser: Any) -> None:
    browser.execute_async_script(f"setTimeout(arguments[0], {WAIT_MS})")


def lit_text(browser: Any) -> str:
    """What is highlighted in the sources, without the numbers before the quotes."""
    return browser.execute_script(
        """return [...document.querySelectorAll('mark.lit')].map(mark => [...mark.childNodes]
        .filter(node => node.nodeName !== 'SUP').map(node => node.textContent).join('')).join(' ')"""
    )


def is_seen(browser: Any, selector: str) -> bool:
    """True when the middle of the first such element is what a reader sees there."""
    return browser.execute_script(
        """const box = document.querySelector(arguments[0]).getClientRects()[0];
        const there = document.elementFromPoint(box.left + Math.min(box.width / 2, 20), box.top + box.height / 2);
        return Boolean(there && there.closest(arguments[0]))""",
        selector,
    )


def claims_of(browser: Any) -> list[Any]:
    return browser.find_elements("css selector", ".claim[data-spans]")


def expected_quotes(body: AnswerBody) -> list[str]:
    """Of each claim with evidence, its quotes in the order in which the sources hold them."""
    order = ["Q", *(source.id for source in body.passages.request.sources)]
    return [
        " ".join(
            shown_line(citation.quote, body)
            for citation in sorted(
                dict.fromkeys(found.citations), key=lambda citation: (order.index(citation.source_id), citation.start)
            )
        )
        for found in render_markdown(body).claims
        if found.citations
    ]


@pytest.mark.parametrize("way", ["hover", "focus", "click", "enter"])
def test_a_claim_lights_its_own_evidence_and_brings_it_into_sight(open_page: Open, way: str) -> None:
    body = seed_body(4)
    browser = open_page(body)
    quotes = expected_quotes(body)
    claims = claims_of(browser)
    assert len(claims) == len(quotes) > 3
    for claim, quote in zip(claims, quotes, strict=True):
        if way == "hover":
            browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", claim)
            webdriver.ActionChains(browser).move_to_element(claim).perform()
        elif way == "click":
            claim.click()
        else:
            browser.execute_script("arguments[0].focus()", claim)
            if way == "enter":
                claim.send_keys("\n")
        wait(browser)
        assert lit_text(browser) == quote
        assert is_seen(browser, "mark.lit")
        assert browser.execute_script("return document.querySelectorAll('.claim.on').length") == 1


def test_a_pinned_claim_stays_lit_and_escape_lets_it_go(open_page: Open) -> None:
    browser = open_page(seed_body())
    claim = claims_of(browser)[0]
    claim.click()
    browser.execute_script("document.activeElement.blur()")
    webdriver.ActionChains(browser).move_to_element(browser.find_element("css selector", "h1")).perform()
    wait(browser)
    assert lit_text(browser)
    assert claim.get_attribute("aria-pressed") == "true"
    webdriver.ActionChains(browser).send_keys("\ue00c").perform()
    wait(browser)
    assert lit_text(browser) == ""
    assert claim.get_attribute("aria-pressed") == "false"


def test_a_footnote_mark_and_a_quote_lead_to_each_other(open_page: Open) -> None:
    browser = open_page(seed_body())
    browser.find_element("css selector", ".marks a").click()
    wait(browser)
    assert lit_text(browser) == expected_quotes(seed_body())[0]
    browser.find_elements("css selector", "mark")[-1].click()
    wait(browser)
    assert browser.execute_script("return document.querySelectorAll('.claim.on').length") >= 1
    assert is_seen(browser, ".claim.on")


def test_claims_are_reached_by_the_tab_key_and_described_by_their_evidence(open_page: Open) -> None:
    browser = open_page(seed_body())
    for _ in range(3):
        webdriver.ActionChains(browser).send_keys("\ue004").perform()
        focused = browser.switch_to.active_element
        if "claim" in (focused.get_attribute("class") or ""):
            break
    described_by = focused.get_attribute("aria-describedby").split()
    texts = [browser.execute_script(f"return document.getElementById('{one}').textContent") for one in described_by]
    assert expected_quotes(seed_body())[0] in "".join(texts)


@pytest.mark.parametrize("size", [PHONE, WIDE], ids=["phone", "wide"])
@pytest.mark.parametrize("body", [*(seed_body(number) for number in range(5)), hostile_body()])
def test_no_page_is_wider_than_the_screen(open_page: Open, body: AnswerBody, size: tuple[int, int]) -> None:
    browser = open_page(body, size=size)
    width, screen = browser.execute_script("return [document.documentElement.scrollWidth, innerWidth]")
    assert width <= screen == size[0]


def test_on_a_phone_a_tap_raises_the_evidence_and_close_lowers_it(open_page: Open) -> None:
    body = seed_body()
    browser = open_page(body, size=PHONE)
    assert not is_shown(browser, "#sources")
    claim = claims_of(browser)[1]
    claim.click()
    wait(browser)
    assert is_shown(browser, "#sources")
    assert lit_text(browser) == expected_quotes(body)[1]
    assert is_seen(browser, "mark.lit")
    assert is_seen(browser, ".claim.on")
    browser.find_element("id", "close").click()
    wait(browser)
    assert not is_shown(browser, "#sources")
    assert lit_text(browser) == ""
    browser.find_element("id", "open").click()
    wait(browser)
    assert is_shown(browser, "#sources")


def is_shown(browser: Any, selector: str) -> bool:
    return browser.execute_script(
        "return getComputedStyle(document.querySelector(arguments[0])).visibility === 'visible'", selector
    )


CONTRAST = """
const channels = (color) => color.match(/[\\d.]+/g).map(Number);
const light = (color) => channels(color).slice(0, 3).map((c) => c / 255)
  .map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
  .reduce((sum, c, place) => sum + c * [0.2126, 0.7152, 0.0722][place], 0);
const ground = (element) => {
  for (let at = element; at; at = at.parentElement) {
    const color = getComputedStyle(at).backgroundColor;
    if ((channels(color)[3] ?? 1) === 1) return color;
  }
  return 'rgb(255, 255, 255)';
};
const worst = [];
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const element = walker.currentNode.parentElement;
  const isSeen = walker.currentNode.textContent.trim() && element.getClientRects().length;
  if (!isSeen || element.closest('script, style')) continue;
  const [a, b] = [light(getComputedStyle(element).color), light(ground(element))];
  worst.push([(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), walker.currentNode.textContent.trim().slice(0, 40)]);
}
return worst.sort((x, y) => x[0] - y[0])[0];
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_has_the_contrast_that_wcag_asks_for(open_page: Open, scheme: str) -> None:
    browser = open_page(hostile_body(), scheme=scheme)
    claims_of(browser)[0].click()
    wait(browser)
    contrast, text = browser.execute_script(CONTRAST)
    assert contrast >= 4.5, text  # WCAG 2.2, criterion 1.4.3
    red, *_ = json.loads(
        browser.execute_script("return getComputedStyle(document.body).backgroundColor")
        .replace("rgb(", "[")
        .replace(")", "]")
    )
    assert (red < 60) is (scheme == "dark")


def test_hostile_sources_run_nothing_and_ask_for_nothing(open_page: Open) -> None:
    browser = open_page(hostile_body())
    for claim in claims_of(browser):
        claim.click()
    wait(browser)
    assert browser.execute_script("return window.pwned") is None
    asked = [
        message["params"]["request"]["url"]
        for entry in browser.get_log("performance")
        if (message := json.loads(entry["message"])["message"])["method"] == "Network.requestWillBeSent"
    ]
    assert asked == [browser.current_url.partition("#")[0]]
    assert [entry["message"] for entry in browser.get_log("browser")] == []


def test_the_policy_stops_a_script_that_got_in(open_page: Open) -> None:
    browser = open_page(seed_body())
    browser.execute_script(
        """const script = document.createElement('script'); script.textContent = 'window.pwned = 1';
        document.body.append(script); const image = new Image(); image.src = 'https://evil.example/x.png';
        document.body.insertAdjacentHTML('beforeend', '<b onclick="window.pwned = 1" id="trap">x</b>');
        document.getElementById('trap').click();"""
    )
    wait(browser)
    assert browser.execute_script("return window.pwned") is None
    assert any("Content Security Policy" in entry["message"] for entry in browser.get_log("browser"))


def test_without_its_script_the_page_still_leads_from_a_mark_to_the_quote(browser: Any, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text(render_html(seed_body(), is_traceable=True), encoding="utf-8")
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.get(f"{page.as_uri()}#c2")
        ground = browser.find_element("id", "c2").value_of_css_property("background-color")
        other = browser.find_element("id", "c3").value_of_css_property("background-color")
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    assert ground != other
