import pytest

from tests.conftest import House
from tests.server.conftest import refusal
from tests.server.plug import HEAD, say

NOWHERE = [
    "/nothing",
    "/v1",
    "/v1/",
    "/v2/models",
    "/chat/completions",
    "/v1/chat/completions/",
    "/v1/completions",
    "/v1/models/",
    "/v1/files/a.b",
    "/v1/files/a/content/more",
    "/v1/batches/a/b",
    "/v1/%ff%fe",
    "/v1/..%2fadmin",
    "/openai/models",
    "/openai/v1/nothing",
]
METHODS = [
    ("GET", "/v1/chat/completions", "POST"),
    ("PUT", "/v1/chat/completions", "POST"),
    ("GET", "/openai/v1/chat/completions", "POST"),
    ("GET", "/v1/responses", "POST"),
    ("GET", "/v1/embeddings", "POST"),
    ("POST", "/v1/models", "GET"),
    ("DELETE", "/v1/models/openai/gpt-oss-20b", "GET"),
    ("GET", "/v1/audio/speech", "POST"),
    ("PATCH", "/v1/files", "GET, POST"),
    ("POST", "/v1/files/file_1", "DELETE, GET"),
    ("DELETE", "/v1/files/file_1/content", "GET"),
    ("DELETE", "/v1/batches", "GET, POST"),
    ("GET", "/v1/batches/batch_1/cancel", "POST"),
    ("OPTIONS", "/v1/models", "GET"),
    ("TRACE", "/v1/models", "GET"),
    ("PROPFIND", "/v1/models", "GET"),
]


@pytest.mark.parametrize("path", NOWHERE)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_an_unknown_address_is_a_404_in_openais_shape(
    house: House, method: str, path: str
) -> None:
    answer = await house.session.request(method, house.url + path)

    error = await refusal(answer, 404, "unknown_url")
    assert method in error["message"]
    assert "/v1/" in error["message"]


@pytest.mark.parametrize(("method", "path", "allowed"), METHODS)
async def test_a_wrong_method_is_a_405_that_names_the_right_ones(
    house: House, method: str, path: str, allowed: str
) -> None:
    answer = await house.session.request(method, house.url + path)

    error = await refusal(answer, 405, "method_not_allowed")
    assert answer.headers["Allow"] == allowed
    assert allowed in error["message"]


@pytest.mark.parametrize(("method", "path"), [("GET", "/nothing"), ("GET", "/v1/responses")])
async def test_what_leads_nowhere_is_recorded_too(house: House, method: str, path: str) -> None:
    answer = await house.session.request(method, house.url + path)
    await house.calls_closed()

    (record,) = house.seen.calls
    assert record.id == answer.headers["x-proxy-request-id"]
    assert record.status == answer.status
    assert (record.endpoint, record.outcome, record.method) == ("other", "client_error", "GET")
    assert await house.metric("requests_total", endpoint="other", outcome="client_error") == 1


async def test_a_long_address_is_not_repeated_whole(house: House) -> None:
    answer = await house.session.get(f"{house.url}/{'a' * 5000}")

    error = await refusal(answer, 404, "unknown_url")
    assert len(error["message"]) < 400


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_the_doubled_prefix_is_told_from_other_unknown_addresses(
    house: House, method: str
) -> None:
    path = "/openai/v1/openai/v1/chat/completions"
    answer = await house.session.request(method, house.url + path)

    error = await refusal(answer, 404, "unknown_url")
    assert "/openai/v1 twice" in error["message"]


@pytest.mark.parametrize("prefix", ["/v1", "/openai/v1"])
async def test_both_prefixes_lead_to_the_same_rooms(house: House, prefix: str) -> None:
    url = house.url + prefix
    body = {"messages": [{"role": "user", "content": "hi"}]}

    statuses = [
        (await house.session.post(f"{url}/chat/completions", json=body)).status,
        (await house.session.get(f"{url}/models")).status,
        (await house.session.get(f"{url}/files")).status,
        (await house.session.get(f"{url}/batches")).status,
    ]

    assert statuses == [200] * 4
    assert house.simulator.calls[-1].path == "/openai/v1/batches"


@pytest.mark.parametrize(
    "line",
    [b"GET /v1/a%0Ab HTTP/1.1", b"OPTIONS * HTTP/1.1", b"CONNECT localhost:80 HTTP/1.1"],
    ids=["line break", "asterisk", "tunnel"],
)
async def test_no_address_is_strange_enough_to_be_the_frameworks(house: House, line: bytes) -> None:
    answer = await say(house, line + b"\r\n" + HEAD + b"\r\n")
    await house.calls_closed()

    assert answer.error["code"] in {"unknown_url", "method_not_allowed"}
    assert house.seen.calls[-1].status == answer.status


@pytest.mark.parametrize("id", ["%C3%A9", "%D9%A3"])
async def test_ids_of_files_are_plain_ascii(house: House, id: str) -> None:
    answer = await say(house, f"GET /v1/files/{id} HTTP/1.1\r\n".encode() + HEAD + b"\r\n")

    assert answer.status == 404
    assert answer.error["code"] == "unknown_url"
    assert not [call for call in house.simulator.calls if "/files/" in call.path]
