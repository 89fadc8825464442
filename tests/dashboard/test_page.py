"""The live page as a browser shows it."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import House, open_house
from tests.dashboard.browser import PATIENCE_S, Tab, tab
from tests.stories.documents import ask, put, reads

DRAWN = "document.body.dataset.ready === 'true'"
LEAST_PX, MOST_PX = 360, 1280
EVIL = "<img src=x onerror=alert(1)>"


@pytest.fixture
async def page(tmp_path: Path) -> AsyncIterator[Tab]:
    async with tab(tmp_path) as opened:
        await opened.size(MOST_PX, 900)
        yield opened


async def busy(state: Path, **knobs: Any) -> AsyncIterator[House]:
    """A house that has had some calls of several kinds."""
    knobs = {"budgets": {"global": ["5 USD/day"], "unpriced": "count"}, **knobs}
    async with open_house(state, cache={"semantic": {"mode": "off"}}, **knobs) as house:
        for _ in range(2):
            await (await house.chat(stream=True)).read()
        await house.chat("sim/status-500")
        await house.chat(EVIL.replace(" ", "/"))
        await house.calls_closed(4)
        yield house


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async for each in busy(tmp_path / "state"):
        yield each


@pytest.fixture
async def locked(tmp_path: Path) -> AsyncIterator[House]:
    async for each in busy(tmp_path / "state", admin_key="let-me-in-please"):
        yield each


async def shown(page: Tab, house: House) -> None:
    await page.open(f"{house.url}/dashboard")
    await page.until(DRAWN)


async def overflow(page: Tab) -> int:
    found = await page.run("document.documentElement.scrollWidth - innerWidth")
    assert isinstance(found, int)
    return found


async def test_it_draws_what_the_gateway_had(page: Tab, house: House) -> None:
    await shown(page, house)

    said = await page.run("document.body.innerText")
    for text in ("openai/gpt-oss-20b", "Serving", "global, day", "exact", "upstream error"):
        assert text in said, text
    assert await page.run("document.querySelectorAll('.tiles > div').length") == 6
    assert await page.run("document.querySelectorAll('.entry').length") == 4
    assert await page.run("document.querySelectorAll('#chart-outcomes rect').length") >= 2
    label = await page.run("document.querySelector('#chart-outcomes svg').ariaLabel")
    assert "ok 2" in label


async def test_documents_are_shown_where_there_are_some(page: Tab, tmp_path: Path) -> None:
    hidden = "document.getElementById('documents-part').hidden"
    await put(tmp_path / "state")
    async for house in busy(tmp_path / "state", rag={"handbook": {}}):
        await reads(house)
        await shown(page, house)
        assert await page.run(hidden) is True

        await ask(house)
        await ask(house, "Who wrote nine symphonies?")

        await page.until(f"!{hidden}")
        await page.until("document.getElementById('documents').innerText.includes('50 %')")
        said = await page.run("document.getElementById('documents').innerText")
        assert "handbook" in said
        assert "0.5" in said  # passages a call
        assert page.complaints == []


async def test_nothing_comes_from_elsewhere_and_nothing_is_complained_of(
    page: Tab, house: House
) -> None:
    await shown(page, house)
    await page.run("document.querySelectorAll('.entry').forEach((each) => (each.open = true))")
    await page.until("document.querySelectorAll('.entry pre').length === 4")

    assert page.complaints == []
    assert {url.startswith(house.url + "/") for url in page.requests} == {True}


async def test_the_whole_hour_is_asked_for_by_who_wants_to_see_it(page: Tab, house: House) -> None:
    await shown(page, house)
    before = [url for url in page.requests if "since=3600s" in url]

    await page.run("document.querySelector('input[value=\"3600\"]').click()")

    await page.until("document.querySelector('.tiles').innerText.includes('in 1 h')")
    async with asyncio.timeout(PATIENCE_S):
        while not any("since=3600s" in url for url in page.requests):
            await page.run("0")
    assert before == []


async def test_it_goes_on_by_itself(page: Tab, house: House) -> None:
    await shown(page, house)

    await house.chat(messages=[{"role": "user", "content": "Another one?"}])

    await page.until("document.querySelectorAll('.entry').length === 5")


async def test_what_a_client_wrote_is_text_and_nothing_else(page: Tab, house: House) -> None:
    await shown(page, house)
    await page.run("document.querySelectorAll('.entry').forEach((each) => (each.open = true))")
    await page.until("document.querySelectorAll('.entry pre').length === 4")

    assert "onerror=alert(1)" in await page.run("document.getElementById('list').textContent")
    assert await page.run("document.querySelectorAll('main img').length") == 0


async def test_a_row_unfolds_to_its_record_by_keys_alone(page: Tab, house: House) -> None:
    await shown(page, house)
    await page.run("document.querySelector('.entry summary').focus()")

    await page.press("Enter")

    await page.until("document.querySelector('.entry[open] .record .facts') !== null")
    newest = await page.run("document.querySelector('.entry').dataset.id")
    told = json.loads(await page.run("document.querySelector('.entry pre').textContent"))
    assert told["id"] == newest
    # And it stays open while the page goes on.
    await asyncio.sleep(2.5)
    assert await page.run("document.querySelector('.entry').open") is True
    assert await page.run("document.activeElement.tagName") == "SUMMARY"


async def test_a_waterfall_shows_where_a_calls_time_went(page: Tab, house: House) -> None:
    await shown(page, house)
    await page.run("document.querySelectorAll('.entry')[3].open = true")

    await page.until("document.querySelectorAll('.entry[open] .fall .bar').length >= 3")
    inside = """[...document.querySelectorAll('.fall .bar')].every((bar) => {
      const own = bar.getBoundingClientRect(), all = bar.parentElement.getBoundingClientRect();
      return own.width > 0 && own.left >= all.left - 1 && own.right <= all.right + 1;
    })"""
    assert await page.run(inside) is True


async def test_a_chart_is_read_by_keys(page: Tab, house: House) -> None:
    await shown(page, house)
    await page.run("document.querySelector('#chart-outcomes svg').focus()")

    await page.press("ArrowLeft")

    said = await page.until(
        "document.querySelector('#chart-outcomes .said:not([hidden])')?.innerText"
    )
    assert ":" in said


async def test_calls_are_filtered_as_one_types(page: Tab, house: House) -> None:
    await shown(page, house)
    write = """(() => { const box = document.getElementById('filter-text'); box.value = '%s';
      box.dispatchEvent(new Event('input', {bubbles: true})); })()"""

    await page.run(write % "status-500")
    one = await page.run("document.querySelectorAll('.entry').length")
    await page.run(write % "nothing has this")
    none = await page.run("document.getElementById('none').hidden")

    assert (one, none) == (1, False)


async def test_the_key_is_asked_for_kept_for_the_tab_and_asked_again_when_wrong(
    page: Tab, locked: House
) -> None:
    give = """document.getElementById('ask-key').value = '%s';
      document.getElementById('ask-form').requestSubmit()"""
    await page.open(f"{locked.url}/dashboard")
    await page.until("document.getElementById('ask').open")
    assert await page.run("document.activeElement.id") == "ask-key"

    await page.run(give % "a wrong one")
    error = await page.until("document.getElementById('ask-error').textContent")
    await page.run(give % "let-me-in-please")
    await page.until(DRAWN)

    assert "does not open it" in error
    assert await page.run("document.getElementById('ask').open") is False
    assert await page.run("Object.values(sessionStorage)") == ["let-me-in-please"]
    assert await page.run("localStorage.length") == 0
    await shown(page, locked)  # loaded again, and not asked again
    assert not any("let-me-in" in url for url in page.requests)


async def test_a_newcomer_is_told_what_to_paste(page: Tab, tmp_path: Path) -> None:
    async with open_house(tmp_path / "state") as house:
        await shown(page, house)

        said = await page.run("document.getElementById('welcome').innerText")

        assert f"curl {house.url}/v1/chat/completions" in said
        assert f'base_url="{house.url}/v1"' in said
        assert f'base_url="{house.url}"' in said
        await house.chat()
        await page.until("document.getElementById('welcome').hidden")
        assert page.complaints == []


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
async def test_text_stands_out_from_its_background(page: Tab, house: House, dark: bool) -> None:
    await page.be_dark(dark)
    await shown(page, house)

    ratios = await page.run(CONTRASTS)

    assert {name: ratio for name, ratio in ratios.items() if ratio < 4.5} == {}
    background = await page.run("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, background[4:-1].split(","))) < 200) is dark


@pytest.mark.parametrize("width", [LEAST_PX, 390, 768, MOST_PX])
async def test_it_fits_any_width(page: Tab, house: House, width: int) -> None:
    await page.size(width, 800, phone=width < 500)
    await shown(page, house)
    await page.run("document.querySelectorAll('.entry').forEach((each) => (each.open = true))")
    await page.until("document.querySelectorAll('.entry pre').length === 4")

    assert await overflow(page) <= 0


async def test_all_that_can_be_used_has_a_name(page: Tab, house: House) -> None:
    await shown(page, house)

    nodes = (await page.tell("Accessibility.getFullAXTree"))["nodes"]

    used = {"button", "textbox", "searchbox", "combobox", "radio", "img", "meter", "link"}
    nameless = [
        node["role"]["value"]
        for node in nodes
        if not node["ignored"]
        and node["role"]["value"] in used
        and not node.get("name", {}).get("value")
    ]
    assert nameless == []


async def test_a_gateway_that_went_away_is_told_and_found_again(page: Tab, house: House) -> None:
    await shown(page, house)
    fetch = "window.kept = window.fetch; window.fetch = () => Promise.reject(new Error('gone')); 0"

    await page.run(fetch)
    await page.until("document.getElementById('state').textContent.includes('No answer')")
    await page.run("window.fetch = window.kept; 0")

    await page.until("document.getElementById('state').textContent.includes('Serving')")


CONTRASTS = """(() => {
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => {
    const linear = (c) => (c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
    const [x, y, z] = [r, g, b].map(linear);
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const behind = (element) => {
    for (let each = element; each; each = each.parentElement) {
      const colour = parse(getComputedStyle(each).backgroundColor);
      if (colour.length < 4 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const found = {};
  const names = ['.quiet', '.state', '.tiles dt', '.tiles .big small', '.legend', 'thead th',
    '.when', '.outcome.upstream_error', '.verdict', '.verdict.exact', 'a',
    '.call.head', 'tbody td'];
  for (const name of names) {
    const element = document.querySelector(name);
    if (!element) continue;
    const [a, b] = [light(parse(getComputedStyle(element).color)), light(behind(element))];
    found[name] = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  }
  return found;
})()"""
