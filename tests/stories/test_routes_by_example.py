"""A name that leads by what is asked: the whole house, the real embedder."""

import asyncio
from pathlib import Path
from typing import Any

import orjson

from tests.conftest import House
from tests.stories.conftest import Opener, story
from tests.stories.houses import ask

SMALL, LARGE = "openai/gpt-oss-20b", "openai/gpt-oss-120b"
AUTO = {
    "auto": {
        "routes": [{"to": f"groq/{LARGE}", "like": ["prove that …", "debug this code"]}],
        "else": f"groq/{SMALL}",
    }
}
SERVED_BY = "x-proxy-served-by"


async def until_measuring(house: House) -> None:
    async with asyncio.timeout(10):
        while house.app.state.nearness.words() is None:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.01)


async def test_a_question_like_an_example_is_answered_by_its_model(opener: Opener) -> None:
    async with opener(models=AUTO) as house:
        await until_measuring(house)
        hard = await ask(house, "Prove that the square root of 2 is irrational.", "auto")
        easy = await ask(house, "What is the capital of Peru?", "auto")

        assert hard.headers[SERVED_BY] == f"groq/{LARGE}"
        assert easy.headers[SERVED_BY] == f"groq/{SMALL}"


async def test_the_choice_stands_in_the_record_and_in_the_line(opener: Opener) -> None:
    async with opener(models=AUTO) as house:
        await until_measuring(house)
        await ask(house, "Debug this code: print(1 + '1')", "auto")
        await ask(house, "Why is the sky blue?", "auto")
        await ask(house, "Why is the sky blue?", SMALL)
        await house.calls_closed(3)
        hard, easy, named = house.seen.calls

        assert hard.choice is not None
        assert easy.choice is not None
        assert hard.choice.score is not None
        assert easy.choice.score is not None
        assert (hard.choice.to, easy.choice.to) == (f"groq/{LARGE}", f"groq/{SMALL}")
        assert hard.choice.score > easy.choice.score
        assert named.choice is None
        lines = [line for line in await lines_of(house, 3) if line["event"] == "request"]
        assert [line["route"] for line in lines] == [f"groq/{LARGE}", f"groq/{SMALL}", None]
        assert lines[0]["route_score"] == round(hard.choice.score, 4)
        assert lines[2]["route_score"] is None


async def lines_of(house: House, count: int) -> list[dict[str, Any]]:
    house.app.state.journal.flush()
    async with asyncio.timeout(5):
        while len(house.log.lines()) < count:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    return [orjson.loads(line) for line in house.log.lines()]


async def test_a_new_configuration_has_its_own_examples(tmp_path: Path) -> None:
    async with story(tmp_path, models=AUTO) as house:
        await until_measuring(house)
        first = await ask(house, "How long do I bake potatoes?", "auto")
        cooks = {
            "auto": {
                "routes": [{"to": f"groq/{LARGE}", "like": ["how long do I bake …"]}],
                "else": f"groq/{SMALL}",
            }
        }
        config = house.app.house.config
        house.app.take(config.model_copy(update={"models": _models(config, cooks)}))
        second = await ask(house, "How long do I bake potatoes?", "auto")

        assert first.headers[SERVED_BY] == f"groq/{SMALL}"
        assert second.headers[SERVED_BY] == f"groq/{LARGE}"


def _models(config: Any, models: dict[str, Any]) -> Any:
    written = config.model_dump(by_alias=True, include={"providers"})
    return type(config).model_validate({**written, "models": models}).models


async def test_the_same_question_by_another_route_is_another_answer(opener: Opener) -> None:
    both = {**AUTO, "other": {"targets": [f"groq/{SMALL}"]}}
    cache = {"exact": {"enabled": True}, "semantic": {"mode": "off"}}
    async with opener(models=both, cache=cache) as house:
        await until_measuring(house)
        messages = [{"role": "user", "content": "Prove that there are infinitely many primes"}]
        first = await house.chat("other", messages=messages, temperature=0)
        second = await house.chat("auto", messages=messages, temperature=0)
        third = await house.chat("auto", messages=messages, temperature=0)

        words = [each.headers["x-proxy-cache"].split(";")[0] for each in (first, second, third)]
        assert words == ["miss", "miss", "exact"]
