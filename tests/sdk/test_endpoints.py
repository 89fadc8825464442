import asyncio
import base64
import inspect
import io
import json
import struct
import wave
from typing import Any

import openai
import pytest

from tests.conftest import QUESTION, House
from tests.sdk.conftest import MODEL, Sdk, open_sdk, read, told

EMBEDDER = "nomic-embed-text-v1_5"


def _sound() -> bytes:
    packed = io.BytesIO()
    with wave.open(packed, "wb") as out:
        out.setparams((1, 2, 8000, 8000, "NONE", ""))
        out.writeframes(bytes(16_000))
    return packed.getvalue()


async def test_models_are_listed(sdk: Sdk) -> None:
    page = await sdk.ask(_listed, sdk) if sdk.threaded else await sdk.client.models.list()

    entry = next(model for model in page.data if model.id == MODEL)
    assert (entry.object, entry.owned_by) == ("model", "OpenAI")
    assert entry.created > 0


def _listed(sdk: Sdk) -> Any:
    return sdk.client.models.list()


async def test_a_model_with_a_slash_is_retrieved(sdk: Sdk) -> None:
    entry = await sdk.ask(sdk.client.models.retrieve, MODEL)

    assert entry.id == MODEL


async def test_a_model_that_is_not_offered_is_not_found(brand: Sdk) -> None:
    with pytest.raises(brand.library.NotFoundError) as caught:
        await brand.client.models.retrieve("no/such-model")

    assert told(caught.value)["code"] == "model_not_found"
    assert "GET /v1/models" in told(caught.value)["message"]


async def test_embeddings_come_as_floats_and_as_base64(sdk: Sdk) -> None:
    async def embed(**options: Any) -> Any:
        create = sdk.client.embeddings.create
        answer = await sdk.ask(create, model=EMBEDDER, input="the sky", **options)
        return answer.data[0].embedding

    floats = await embed(encoding_format="float")
    packed = await embed(encoding_format="base64")
    by_default = await embed()  # openai asks for base64 and unpacks it unseen

    assert len(floats) == 768
    raw = base64.b64decode(packed)
    assert struct.unpack("<768f", raw) == pytest.approx(floats)
    assert list(by_default) == pytest.approx(floats)


async def test_many_texts_are_embedded_in_their_order(brand: Sdk) -> None:
    answer = await brand.client.embeddings.create(
        model=EMBEDDER, input=["one", "two", "three"], encoding_format="float"
    )

    assert [entry.index for entry in answer.data] == [0, 1, 2]
    assert answer.usage.prompt_tokens > 0


@pytest.mark.parametrize("name", ["openai", "openai-sync"])
@pytest.mark.parametrize("at", ["/v1", "/openai/v1"])
async def test_a_response_comes_whole(house: House, name: str, at: str) -> None:
    async with open_sdk(house, name, at=at) as sdk:
        answer = await sdk.ask(sdk.client.responses.create, model=MODEL, input="Why?")

    assert answer.status == "completed"
    assert answer.output_text
    assert answer.usage.total_tokens > 0


@pytest.mark.parametrize("name", ["openai", "openai-sync"])
async def test_a_response_comes_in_events(house: House, name: str) -> None:
    async with open_sdk(house, name) as sdk:
        create, asked = sdk.client.responses.create, {"model": MODEL, "input": "Why?"}
        whole = await sdk.ask(create, **asked)
        if sdk.threaded:
            events = await asyncio.to_thread(lambda: list(create(**asked, stream=True)))
        else:
            events = [event async for event in await create(**asked, stream=True)]

    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert "".join(deltas) == whole.output_text
    assert events[0].type == "response.created"
    assert events[-1].type == "response.completed"
    assert [event.sequence_number for event in events] == list(range(len(events)))


async def test_a_response_that_breaks_off_raises(house: House) -> None:
    async with open_sdk(house, "openai") as sdk:
        stream = await sdk.client.responses.create(
            model="sim/cut-after-6", input="Why?", stream=True
        )
        with pytest.raises(openai.APIError) as caught:
            async for _ in stream:
                pass

    assert caught.value.code == "stream_interrupted"


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")  # openai's word on translations
@pytest.mark.parametrize("task", ["transcriptions", "translations"])
async def test_audio_is_uploaded_and_understood(sdk: Sdk, house: House, task: str) -> None:
    sound = _sound()
    create = getattr(sdk.client.audio, task).create

    heard = await sdk.ask(create, model="whisper-large-v3", file=("speech.wav", sound))

    assert "1 seconds of audio" in heard.text
    call = house.simulator.calls[-1]
    assert call.path == f"/openai/v1/audio/{task}"
    assert call.body["model"] == "whisper-large-v3"
    assert sound in call.raw


async def test_a_transcript_in_plain_text_is_passed_on_as_it_is(brand: Sdk) -> None:
    heard = await brand.client.audio.transcriptions.create(
        model="whisper-large-v3", file=("speech.wav", _sound()), response_format="text"
    )

    assert "1 seconds of audio" in str(getattr(heard, "text", heard))


async def test_a_wrong_upload_is_the_providers_to_judge(brand: Sdk) -> None:
    with pytest.raises(brand.library.BadRequestError) as caught:
        await brand.client.audio.transcriptions.create(
            model="whisper-large-v3", file=("speech.exe", b"x")
        )

    assert "must be one of the following types" in told(caught.value)["message"]


async def test_speech_comes_as_sound(sdk: Sdk) -> None:
    spoken = await sdk.ask(
        sdk.client.audio.speech.create,
        model="canopylabs/orpheus-v1-english",
        voice="hannah",
        input="Good morning.",
        response_format="wav",
    )
    sound = await asyncio.to_thread(spoken.read) if sdk.threaded else await read(spoken)

    with wave.open(io.BytesIO(sound)) as wav:
        assert wav.getnframes() > 0


async def test_speech_can_be_read_in_pieces(brand: Sdk) -> None:
    sound = b""
    async with brand.client.audio.speech.with_streaming_response.create(
        model="canopylabs/orpheus-v1-english",
        voice="hannah",
        input="Good morning, everybody.",
        response_format="wav",
    ) as response:
        async for piece in response.iter_bytes():
            sound += piece
        headers = response.headers

    assert headers["content-type"] == "audio/wav"
    assert len(sound) == int(headers["content-length"])


async def test_a_file_and_a_batch_make_the_round(brand: Sdk) -> None:
    client, body = brand.client, {"model": MODEL, "messages": QUESTION}
    line = {"custom_id": "1", "method": "POST", "url": "/v1/chat/completions", "body": body}
    data = json.dumps(line).encode()

    stored = await client.files.create(file=("jobs.jsonl", data), purpose="batch")
    batch = await client.batches.create(
        input_file_id=stored.id, endpoint="/v1/chat/completions", completion_window="24h"
    )
    async with asyncio.timeout(5):
        while batch.status != "completed":
            batch = await client.batches.retrieve(batch.id)
    result = json.loads(await read(await client.files.content(batch.output_file_id)))

    assert (stored.filename, stored.bytes) == ("jobs.jsonl", len(data))
    assert await read(await client.files.content(stored.id)) == data
    assert result["custom_id"] == "1"
    assert result["response"]["body"]["choices"]
    assert stored.id in [entry.id for entry in (await _page(client.files.list())).data]
    assert batch.id in [entry.id for entry in (await _page(client.batches.list())).data]
    assert (await client.files.delete(stored.id)).deleted
    with pytest.raises(brand.library.NotFoundError):
        await client.files.content(stored.id)


async def test_a_batch_can_be_cancelled(brand: Sdk) -> None:
    line = {"custom_id": "1", "method": "POST", "url": "/v1/chat/completions", "body": {}}
    data = (json.dumps(line) + "\n").encode() * 1000  # half a second each, by the simulator's clock
    stored = await brand.client.files.create(file=("jobs.jsonl", data), purpose="batch")
    batch = await brand.client.batches.create(
        input_file_id=stored.id, endpoint="/v1/chat/completions", completion_window="24h"
    )

    cancelled = await brand.client.batches.cancel(batch.id)

    assert cancelled.status in {"cancelling", "cancelled"}


async def test_calls_of_every_endpoint_are_recorded_under_its_name(house: House) -> None:
    async with open_sdk(house, "openai") as sdk:
        await sdk.chat()
        await sdk.client.responses.create(model=MODEL, input="Why?")
        await sdk.client.embeddings.create(model=EMBEDDER, input="x")
        await sdk.client.models.list()
        await sdk.client.audio.transcriptions.create(
            model="whisper-large-v3", file=("speech.wav", _sound())
        )
        await sdk.client.files.list()
    await house.calls_closed(6)

    assert [call.endpoint for call in house.seen.calls] == [
        "chat_completions",
        "responses",
        "embeddings",
        "models",
        "audio",
        "other",
    ]
    assert {call.outcome for call in house.seen.calls} == {"ok"}


async def _page(listing: Any) -> Any:
    return await listing if inspect.isawaitable(listing) else listing
