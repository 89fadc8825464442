import pytest
from yarl import URL

from tests.conftest import House, Opener
from tests.server.conftest import ASK, CHAT, chats, refusal, send
from tests.server.plug import say

OURS = [
    "localhost",
    "LocalHost:8080",
    "localhost.:8080",
    "proxy.localhost",
    "127.0.0.1",
    "127.0.0.1:1",
    "127.8.9.10:80",
    "[::1]:8080",
]
FOREIGN = [
    "evil.example",
    "evil.example:8080",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "127.0.0.1.nip.io",
    "evillocalhost",
    "localhost@evil.example",
    "192.168.1.5:8080",
    "0.0.0.0:8080",
    "169.254.169.254",
    "[::2]",
    "[::1",
    "my-machine",
]
PAGE = "https://app.example"


@pytest.mark.parametrize("host", OURS)
async def test_an_open_gateway_answers_to_its_own_names(house: House, host: str) -> None:
    answer = await send(house, ASK, Host=host)

    assert answer.status == 200


@pytest.mark.parametrize("host", FOREIGN)
async def test_an_open_gateway_answers_to_no_other_name(house: House, host: str) -> None:
    answer = await send(house, ASK, Host=host)

    error = await refusal(answer, 403, "host_not_allowed")
    assert host in error["message"]
    assert chats(house) == 0
    await house.calls_closed()
    assert house.seen.calls[-1].outcome == "client_error"


async def test_http_1_0_needs_no_host(house: House) -> None:
    answer = await say(house, b"GET /v1/models HTTP/1.0\r\n\r\n")

    assert answer.status == 200


@pytest.mark.parametrize("path", ["/v1/models", "/nothing", "/v1/files"])
async def test_the_door_stands_before_every_address(house: House, path: str) -> None:
    answer = await house.session.get(house.url + path, headers={"Host": "evil.example"})

    await refusal(answer, 403, "host_not_allowed")


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://localhost:3000", "http://app.example", "x"]
)
async def test_a_page_that_is_not_listed_may_not_call(opener: Opener, origin: str) -> None:
    async with opener(cors_origins=[PAGE]) as house:
        answer = await send(house, ASK, Origin=origin)

        await refusal(answer, 403, "origin_not_allowed")
        assert "Access-Control-Allow-Origin" not in answer.headers
        assert chats(house) == 0


@pytest.mark.parametrize("stream", [False, True])
async def test_a_listed_page_may_call_and_read_what_we_tell(opener: Opener, stream: bool) -> None:
    async with opener(cors_origins=[PAGE]) as house:
        answer = await send(house, {**ASK, "stream": stream}, Origin=PAGE)

    assert answer.status == 200
    assert answer.headers["Access-Control-Allow-Origin"] == PAGE
    assert "Origin" in answer.headers["Vary"]
    assert "Access-Control-Allow-Credentials" not in answer.headers
    exposed = {name.strip() for name in answer.headers["Access-Control-Expose-Headers"].split(",")}
    told = {name.lower() for name in answer.headers}
    ours = {name for name in told if name.startswith(("x-proxy-", "x-ratelimit-", "x-groq-"))}
    assert ours | {"x-request-id", "retry-after"} <= exposed


async def test_a_listed_page_can_read_errors_too(opener: Opener) -> None:
    async with opener(cors_origins=[PAGE]) as house:
        answer = await send(house, b"{}", Origin=PAGE)

    assert answer.status == 400
    assert answer.headers["Access-Control-Allow-Origin"] == PAGE


async def test_a_page_that_we_served_may_call(house: House) -> None:
    answer = await send(house, ASK, Origin=house.url)

    assert answer.status == 200
    assert answer.headers["Access-Control-Allow-Origin"] == house.url


async def test_a_page_at_another_port_of_ours_is_another_page(house: House) -> None:
    port = URL(house.url).port or 0
    answer = await send(house, ASK, Origin=f"http://127.0.0.1:{port + 1}")

    await refusal(answer, 403, "origin_not_allowed")


async def test_callers_without_an_origin_get_no_cors_headers(house: House) -> None:
    answer = await house.chat()

    assert not [name for name in answer.headers if name.lower().startswith("access-control-")]


async def _preflight(house: House, origin: str) -> dict[str, str]:
    asked = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type,x-stainless-os",
    }
    answer = await house.session.options(house.url + CHAT, headers=asked)
    return {":status": str(answer.status), **answer.headers}


async def test_a_listed_pages_preflight_is_granted(opener: Opener) -> None:
    async with opener(cors_origins=[PAGE]) as house:
        granted = await _preflight(house, PAGE)

        assert granted[":status"] == "204"
        assert granted["Access-Control-Allow-Origin"] == PAGE
        assert "POST" in granted["Access-Control-Allow-Methods"]
        assert "x-stainless-os" in granted["Access-Control-Allow-Headers"]
        assert int(granted["Access-Control-Max-Age"]) > 0
        assert granted["X-Content-Type-Options"] == "nosniff"
        assert "Server" not in granted
        assert house.seen.opened == []


async def test_any_other_preflight_is_not(opener: Opener) -> None:
    async with opener(cors_origins=[PAGE]) as house:
        refused = await _preflight(house, "https://evil.example")

    assert refused[":status"] == "403"
    assert "Access-Control-Allow-Origin" not in refused
    assert "Access-Control-Allow-Methods" not in refused


async def test_a_preflight_to_a_foreign_host_is_not_granted(house: House) -> None:
    answer = await house.session.options(
        house.url + CHAT,
        headers={
            "Host": "evil.example",
            "Origin": "http://evil.example",
            "Access-Control-Request-Method": "POST",
        },
    )

    assert answer.status == 403
    assert "Access-Control-Allow-Origin" not in answer.headers


async def test_a_foreign_host_cannot_read_its_refusal(house: House) -> None:
    answer = await send(house, ASK, Host="evil.example", Origin="http://evil.example")

    await refusal(answer, 403, "host_not_allowed")
    assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize("path", ["/metrics", "/healthz"])
async def test_a_listed_page_can_read_ops(opener: Opener, path: str) -> None:
    page = {"Origin": "https://app.example"}
    async with opener(cors_origins=["https://app.example"]) as house:
        answer = await house.session.get(house.url + path, headers=page)

    assert answer.headers["Access-Control-Allow-Origin"] == "https://app.example"


async def test_a_connection_goes_on_after_a_refusal_at_the_door(house: House) -> None:
    answers = []
    for _ in range(3):
        body = {"messages": [{"role": "user", "content": "hi"}]}
        url = f"{house.url}/v1/chat/completions"
        async with house.session.post(url, json=body, headers={"Host": "evil.example"}) as answer:
            answers.append((answer.status, (await answer.json())["error"]["code"]))

    assert answers == [(403, "host_not_allowed")] * 3
