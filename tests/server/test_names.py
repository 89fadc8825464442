"""What a model name means, and what fills a request that names none."""

import orjson
import pytest
from yarl import URL

from proxy.simulator.app import Simulator
from proxy.simulator.settings import SimulatorSettings
from tests.conftest import House, Opener
from tests.server.conftest import ASK, CHAT, refusal, send

FAST = {"fast": {"targets": ["groq/openai/gpt-oss-20b"]}}


def _sent(house: House) -> dict:
    return house.simulator.calls[-1].body


async def test_a_request_without_a_model_gets_the_default(opener: Opener) -> None:
    async with opener(default_model="openai/gpt-oss-120b") as house:
        missing = await send(house, ASK)
        null = await send(house, {**ASK, "model": None})

        assert (missing.status, null.status) == (200, 200)
        assert _sent(house)["model"] == "openai/gpt-oss-120b"
        assert missing.headers["x-proxy-served-by"] == "groq/openai/gpt-oss-120b"


async def test_the_default_model_may_be_an_alias(opener: Opener) -> None:
    async with opener(models=FAST, default_model="fast") as house:
        await send(house, ASK)

        assert _sent(house)["model"] == "openai/gpt-oss-20b"


async def test_defaults_fill_what_a_request_leaves_out(opener: Opener) -> None:
    async with opener(defaults={"temperature": 0.25, "max_completion_tokens": 9}) as house:
        await send(house, {**ASK, "temperature": None})

        assert _sent(house)["temperature"] == 0.25
        assert _sent(house)["max_completion_tokens"] == 9


@pytest.mark.parametrize("cap", ["max_tokens", "max_completion_tokens"])
async def test_defaults_do_not_overrule_a_request(opener: Opener, cap: str) -> None:
    async with opener(defaults={"temperature": 0.25, "max_completion_tokens": 9}) as house:
        await send(house, {**ASK, "temperature": 0, cap: 5})

        sent = _sent(house)
        assert sent["temperature"] == 0
        assert {name: sent[name] for name in sent if name.startswith("max_")} == {cap: 5}


async def test_without_defaults_nothing_is_added_but_the_model(house: House) -> None:
    await send(house, ASK)

    assert _sent(house) == {**ASK, "model": "openai/gpt-oss-20b"}


@pytest.mark.parametrize("stream", [False, True])
async def test_an_alias_is_sent_as_what_it_stands_for(opener: Opener, stream: bool) -> None:
    async with opener(models=FAST) as house:
        answer = await send(house, {**ASK, "model": "fast", "stream": stream})

        assert answer.status == 200
        assert answer.headers["x-proxy-served-by"] == "groq/openai/gpt-oss-20b"
        assert _sent(house)["model"] == "openai/gpt-oss-20b"
        await house.calls_closed()
        assert house.seen.calls[-1].call.model == "fast"


async def test_an_alias_wins_over_a_providers_own_id(opener: Opener) -> None:
    big = {"openai/gpt-oss-20b": {"targets": ["groq/openai/gpt-oss-120b"]}}
    async with opener(models=big) as house:
        await send(house, {**ASK, "model": "openai/gpt-oss-20b"})

        assert _sent(house)["model"] == "openai/gpt-oss-120b"


async def test_aliases_serve_other_endpoints_too(opener: Opener) -> None:
    models = {"vectors": {"targets": ["groq/nomic-embed-text-v1_5"]}, **FAST}
    async with opener(models=models) as house:
        embedded = await send(house, {"model": "vectors", "input": "x"}, path="/v1/embeddings")
        responded = await send(house, {"model": "fast", "input": "x"}, path="/v1/responses")

    assert (embedded.status, responded.status) == (200, 200)


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("groq/openai/gpt-oss-20b", "openai/gpt-oss-20b"),
        ("openai/gpt-oss-20b", "openai/gpt-oss-20b"),
        ("groq/groq/x", "groq/x"),
        ("groq", "groq"),
        ("groq/", "groq/"),
        ("nobody/model", "nobody/model"),
        ("m" * 256, "m" * 256),
        ("modell-ü", "modell-ü"),
        ("a:b@c#d?e=f&g%2F", "a:b@c#d?e=f&g%2F"),
    ],
)
async def test_a_name_means_a_target(house: House, name: str, sent: str) -> None:
    await send(house, {**ASK, "model": name})

    assert _sent(house)["model"] == sent


async def test_a_name_with_a_provider_goes_there(opener: Opener) -> None:
    first, second = (Simulator(SimulatorSettings(speed=200.0)) for _ in range(2))
    async with first.serve() as one, second.serve() as two:
        providers = {
            "groq": {"base_url": one, "keys": [{"name": "a", "value": "gsk_a"}]},
            "second": {"base_url": two, "keys": [{"name": "b", "value": "gsk_b"}]},
        }
        async with opener(providers=providers) as house:
            answer = await send(house, {**ASK, "model": "second/openai/gpt-oss-20b"})
            listed = await (await house.session.get(f"{house.url}/v1/models")).json()

    assert answer.headers["x-proxy-served-by"] == "second/openai/gpt-oss-20b"
    assert second.calls[-1].key == "gsk_b"
    chat = next(call for call in second.calls if call.path.endswith("/chat/completions"))
    assert chat.body["model"] == "openai/gpt-oss-20b"
    assert not [call for call in first.calls if call.path.endswith("/chat/completions")]
    ids = [entry["id"] for entry in listed["data"]]
    assert {"openai/gpt-oss-20b", "second/openai/gpt-oss-20b"} <= set(ids)
    assert len(ids) == len(set(ids))


async def test_an_unknown_name_is_the_default_providers_to_judge(house: House) -> None:
    answer = await send(house, {**ASK, "model": "no-such-model"})

    assert answer.status == 404
    assert orjson.loads(await answer.read())["error"]["code"] == "model_not_found"


@pytest.mark.parametrize("prefix", ["/v1", "/openai/v1"])
@pytest.mark.parametrize("slash", ["/", "%2F", "%2f"])
async def test_a_model_is_found_with_a_bare_slash_and_with_an_encoded_one(
    house: House, prefix: str, slash: str
) -> None:
    url = f"{house.url}{prefix}/models/openai{slash}gpt-oss-20b"
    answer = await house.session.get(URL(url, encoded=True))

    entry = await answer.json()
    assert answer.status == 200
    assert entry["id"] == "openai/gpt-oss-20b"
    assert {"object", "created", "owned_by"} <= entry.keys()


async def test_an_alias_is_listed_and_found(opener: Opener) -> None:
    async with opener(models=FAST) as house:
        listed = await (await house.session.get(f"{house.url}/v1/models")).json()
        entry = await (await house.session.get(f"{house.url}/v1/models/fast")).json()

    assert listed["object"] == "list"
    assert entry in listed["data"]
    assert (entry["id"], entry["object"], entry["owned_by"]) == ("fast", "model", "groq")


async def test_the_list_hides_nothing_that_the_provider_lists(house: House) -> None:
    direct = await house.session.get(
        f"{house.simulator.base_url}/models", headers={"Authorization": "Bearer gsk_test"}
    )

    listed = await (await house.session.get(f"{house.url}/v1/models")).json()

    assert listed["data"] == (await direct.json())["data"]


@pytest.mark.parametrize("id", ["nope", "a/b/c", "..", "%00", "a%20b", "x" * 2000])
async def test_a_model_that_is_not_there_is_a_404(house: House, id: str) -> None:
    answer = await house.session.get(URL(f"{house.url}/v1/models/{id}x", encoded=True))

    error = await refusal(answer, 404, "model_not_found")
    assert error["param"] == "model"
    assert len(error["message"]) < 1200


async def test_a_model_list_that_cannot_be_had_is_a_502(opener: Opener) -> None:
    async with opener(groq={"base_url": "http://127.0.0.1:9/v1"}) as house:
        answer = await house.session.get(f"{house.url}/v1/models")
        chat = await house.session.post(house.url + CHAT, json=ASK)

    assert (answer.status, chat.status) == (502, 502)
    assert (await answer.json())["error"]["code"] == "upstream_unreachable"


@pytest.mark.parametrize("model", ["gemini/any", "idle"])
async def test_a_provider_without_a_key_is_not_our_bug(opener: Opener, model: str) -> None:
    providers = {
        "groq": {"base_url": "http://127.0.0.1:9/v1", "keys": [{"name": "a", "value": "gsk_a"}]},
        "gemini": {"keys": []},
    }
    models = {"idle": {"targets": ["gemini/any"]}}
    async with opener(providers=providers, models=models) as house:
        answer = await send(house, {**ASK, "model": model})

    error = orjson.loads(await answer.read())["error"]
    assert answer.status != 500
    assert error["code"] != "internal_error"
    assert "gemini" in error["message"]


async def test_the_default_model_answers_responses_too(house: House) -> None:
    answer = await send(house, {"input": "Why?"}, path="/v1/responses")

    assert answer.status == 200
    assert house.simulator.calls[-1].body["model"] == "openai/gpt-oss-20b"
