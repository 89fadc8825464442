import json
import time
from typing import Any
from urllib.parse import quote, quote_plus

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.config.secrets import secrets_of
from proxy.config.settings import Config
from proxy.core.secrets import Secrets, hashed
from proxy.wire.refusals import clean, clean_body

ORG = "org_01kfk38f6bebmb6c6xst"


def hidden(text: str, *known: str) -> str:
    return Secrets(known).hide(text)


def test_a_secret_becomes_the_prefix_of_its_hash() -> None:
    assert hidden("key abcdefgh!", "abcdefgh") == "key ***9c56cc51!"


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("{}", "gsk_abcdefghijkl"),
        ("token={}&x=1", "sk-proj-abc_def-123"),
        ("'{}'", "AIzaSyA1234567"),
        ("task%3D{}", "sk-abcdef123456"),
        ("\\n{}\\n", "sk-abcdef123456"),
        ("\\u0022{}\\u0022", "sk-abcdef123456"),
        ("a_{}", "sk-abcdef123456"),
        ("Bearer {}", "abcdef"),
        ("bearer  {}", "a.b-c_d~e+f/g=="),
        ("Bearer {}", "token-7"),
        ("Bearer%20{}", "abcdef"),
        ("Authorization: {}", "abcdef ghi"),
        ("Authorization: Basic {}", "dXNlcjpwYXNz"),
        ("authorization: Bearer {}\r\nHost: x", "abc"),
        ("Proxy-Authorization: Basic {}", "dXNlcjpwYXNz"),
        ("{{'Authorization': 'Basic {}'}}", "dXNlcjpwYXNz"),
        ("<CIMultiDict('authorization': '{}', 'Host': 'x')>", "word"),
        ("((b'Authorization', b'Basic {}'), (b'Host', b'x'))", "dXNlcjpwYXNz"),
        ('{{"authorization":"Basic {}"}}', "dXNlcjpwYXNz"),
        ('"{{\\"authorization\\": \\"Basic {}\\"}}"', "dXNlcjpwYXNz"),
        ("Cookie: {}", "a=b; c=d"),
        ("Set-Cookie: {}\nHost: x", "a=b; Path=/"),
        ("x-api-key: {}", "word-of-mine"),
        ("api-key={}&x=1", "word-of-mine"),
        ('{{"api_key": "{}"}}', "mine"),
        ("GROQ_API_KEY_2={} make", "word-of-mine"),
        ("GROQ_API_KEYS={}", "word-of-mine"),
        ("User-Agent: Basic {}", "dXNlcjpwYXNz"),
        ("redis://:{}@host:6379/0", "passw0rd"),
        ("https://user:{}@host/", "passw0rd"),
    ],
)
def test_what_looks_like_a_secret_is_hidden_and_the_rest_stays(text: str, secret: str) -> None:
    assert hidden(text.format(secret)) == text.format(hashed(secret))


@pytest.mark.parametrize(
    "text",
    [
        "Rate limit reached for model `openai/gpt-oss-20b`. Please try again in 18.42s.",
        "key groq/k1: accepted, 12 models",
        "providers.groq.keys[0].value: is required",
        'File "/srv/proxy/upstream/provider.py", line 7, in attempt',
        "a task-force of disk-organisers, org_name and org-chart included",
        "Basic authentication is not supported; send a bearer token",
        "You need to use Bearer auth (or ask for a bearer token).",
        "Invalid API Key: see https://console.groq.com/keys",
        '{"error":{"param":"api_key","type":"authorization","code":"cookie"}}',
        '{"api_key":null,"authorization":true,"cookie":12345678}',
        "http://127.0.0.1:8080/v1 and a@b.c",
        "***1a2b3c4d",
        "Authorization: Bearer ***1a2b3c4d",
        "'Authorization': '***1a2b3c4d'",
        "redis://:***1a2b3c4d@host",
    ],
)
def test_ordinary_words_stay_and_nothing_is_hidden_twice(text: str) -> None:
    assert hidden(text) == text


@pytest.mark.parametrize("where", ["organization `{}` is", "{}", "\\n{}", "a:{},"])
def test_organisations_keep_what_they_are(where: str) -> None:
    assert hidden(where.format(ORG)) == where.format("org_" + hashed(ORG.removeprefix("org_")))
    assert clean(where.format(ORG)) == where.format("org_***")


ODD = "a$(b)+[c]{2}^\"d\\e/f%g'h&i=j|k?"


@pytest.mark.parametrize(
    "secret", [ODD, "pass word", "ключ-от-всего", "line\nbreak\ttab", "x" * 5000]
)
@pytest.mark.parametrize("logged", [Secrets, None])
def test_a_known_secret_is_hidden_however_it_is_written(secret: str, logged: Any) -> None:
    written = [
        secret,
        json.dumps(secret),
        json.dumps({"a": secret}, ensure_ascii=False),
        orjson.dumps([secret]).decode(),
        json.dumps(json.dumps([secret])),
        repr(secret),
        str([secret]),
        quote(secret),
        quote(secret, safe=""),
        quote(secret, safe="").lower() if secret == ODD else quote_plus(secret),
    ]
    for text in written:
        shown = hidden(text, secret) if logged else clean(text, secret)
        mark = hashed(secret) if logged else "***"
        assert mark in shown
        assert len(shown) < len(mark) + 20, shown


def test_of_two_secrets_where_one_begins_the_other_both_are_hidden_whole() -> None:
    short, long = "hunter22", "hunter22-and-more"

    for known in ([short, long], [long, short]):
        assert hidden(f"{short} {long}", *known) == f"{hashed(short)} {hashed(long)}"


def test_a_longer_key_that_begins_like_a_known_one_leaves_no_rest() -> None:
    assert hidden("gsk_abcdefgh-unknown", "gsk_abcdefgh") == hashed("gsk_abcdefgh-unknown")


def test_a_secret_of_odd_bytes_is_hidden_too() -> None:
    odd = "s3cret-\udcff-s3cret"

    assert "s3cret" not in hidden(f"a {odd} b", odd)


def test_secrets_that_touch_are_both_hidden() -> None:
    assert hidden(f"{ODD}and{ODD}", ODD).endswith(hashed(ODD))
    assert hidden(f"hunter22{ODD}", ODD, "hunter22") == hashed("hunter22") + hashed(ODD)


def test_a_short_secret_is_hidden_only_where_its_place_tells() -> None:
    text = "key ollama/none: test of ollama. Authorization: Bearer ollama"

    assert hidden(text, "ollama", "test", "none", "") == text.replace(
        "Bearer ollama", f"Bearer {hashed('ollama')}"
    )


def test_what_a_provider_repeats_of_its_key_is_hidden_at_any_length() -> None:
    assert clean("key s3cret of ours", "s3cret") == "key *** of ours"


def test_a_key_that_a_reload_takes_away_stays_hidden_and_memory_is_bounded() -> None:
    secrets = Secrets(["the first one"])
    secrets.know(["the second one"])
    assert "first" not in secrets.hide("the first one")

    secrets.know(f"secret number {number}" for number in range(5000))
    secrets.know(["the second one"])

    assert "second" not in secrets.hide("the second one")
    assert len(secrets._shown) <= 1000


FRAGMENTS = [
    *('"', "'", "\\", "{", "}", ":", ",", " ", "\n", "=", "@", "://", "***", "b'", "\u2028"),
    *("authorization", "Cookie", "api_key", "Bearer ", "Basic ", "bearer", "gsk_abcdefg", "sk-"),
    *("org_0123abc", "AIza", "%20", "dXNlcjpwYXNz", ODD, "s3cret-s3cret", "7", "null"),
]
TEXTS = st.lists(st.sampled_from(FRAGMENTS), max_size=12).map("".join)
VALUES = st.recursive(
    TEXTS | st.integers(-9, 9) | st.none() | st.booleans(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


@given(VALUES, st.sampled_from([ODD, "s3cret-s3cret"]))
def test_a_cleaned_body_is_still_json_and_holds_no_key(value: Any, secret: str) -> None:
    body = clean_body(orjson.dumps(value), secret)

    if body is not None:
        orjson.loads(body)
        assert json.dumps(secret)[1:-1].encode() not in body


def test_a_body_that_cleaning_would_break_is_not_passed_on() -> None:
    assert clean_body(b'{"error":"authorization:"}', "") is None


@pytest.mark.parametrize("name", ["authorization", "x-api-key", "cookie"])
@pytest.mark.parametrize("value", ["Bearer abcdef", 'a\\"b', ODD, "gsk_abcdefgh"])
def test_a_body_that_shows_headers_is_cleaned_and_passed_on(name: str, value: str) -> None:
    told = {"error": {"message": "m", "headers": {name: value}, "raw": f"{name}: {value}\r\n"}}

    for body in (told, {"error": {"message": json.dumps(told)}}):
        cleaned = clean_body(orjson.dumps(body), ODD)
        assert cleaned is not None
        assert orjson.loads(cleaned)
        for secret in ("abcdef", ODD, ODD[:9]):
            assert secret not in cleaned.decode()


@given(TEXTS)
def test_hiding_twice_hides_no_more(text: str) -> None:
    secrets = Secrets([ODD, "s3cret-s3cret"])
    once = secrets.hide(text)

    assert secrets.hide(once).count("***") == once.count("***")


HOSTILE = [
    *(
        "gsk_",
        "gsk_abcdef ",
        "sk-",
        "sk-abcdef ",
        "org_",
        "org_a",
        "org_abc1 ",
        "bearer",
        "bearer ",
    ),
    *("bearer a ", "authorization", "authorization:", "authorization\\", 'authorization="'),
    *("authorization: basic ", "cookie: a\n", "api_key=", "api_key", "apikeys_1", "api", "://"),
    *(
        "://a:b",
        "://a:b@",
        "basic ",
        "basic aaaaaaaa",
        "Authorization: Bearer ***",
        "%20",
        '"',
        "b'",
    ),
]


@pytest.mark.parametrize(
    "head", ["", "bearer", "authorization", "cookie:", "org_", "://a:", "Basic "]
)
@pytest.mark.parametrize("filling", [" ", "a", "\\", "\n"])
def test_a_megabyte_without_an_end_is_soon_read(head: str, filling: str) -> None:
    _soon(head + filling * 1_000_000)


@pytest.mark.parametrize("piece", HOSTILE)
def test_a_megabyte_of_beginnings_is_soon_read(piece: str) -> None:
    _soon(piece * (1_000_000 // len(piece)))


def _soon(text: str) -> None:
    """What looks back takes minutes here; a tenth of a second is usual, and machines differ."""
    secrets = Secrets([f"gsk_known{number}" * 4 for number in range(20)])
    began = time.process_time()
    secrets.hide(text)
    assert time.process_time() - began < 1


def test_all_secrets_of_a_configuration_are_found() -> None:
    config = Config.model_validate(
        {
            "redis": "redis://:hunter-redis@host/0",
            "providers": {
                "groq": {
                    "keys": [{"name": "a", "value": "gsk_a"}, {"name": "b", "value": "gsk_b"}]
                },
                "ollama": {"base_url": "http://localhost:11434/v1", "keys": "none"},
            },
            "alerts": {
                "webhooks": [{"url": "https://hooks.slack.com/services/T0/B0/x", "secret": "s1gn"}]
            },
        }
    )

    assert set(secrets_of(config)) == {
        "redis://:hunter-redis@host/0",
        "hunter-redis",
        "gsk_a",
        "gsk_b",
        "https://hooks.slack.com/services/T0/B0/x",
        "/services/T0/B0/x",
        "s1gn",
    }
