import json
import math
from contextlib import suppress
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.core.errors import InvalidRequest
from proxy.wire.json import MAX_CONTAINERS, dumps, parse_object

INTEGERS = st.integers(-(10**20) + 1, 10**20 - 1)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | INTEGERS
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=4)
    ),
    max_leaves=12,
)


def nested(depth: int, open: str = "[", close: str = "]") -> bytes:
    """An object whose brackets nest `depth` deep, itself included."""
    return f'{{"a":{open * (depth - 1)}1{close * (depth - 1)}}}'.encode()


@given(st.dictionaries(st.text(st.characters(codec="utf-8")), VALUES), st.booleans())
def test_what_was_accepted_is_written_with_the_same_meaning(
    value: dict[str, Any], escaped: bool
) -> None:
    written = json.dumps(value, ensure_ascii=escaped).encode()

    assert parse_object(written) == value
    assert parse_object(dumps(parse_object(written))) == value


@pytest.mark.parametrize("bracket", ["[]", "{}"])
def test_64_levels_are_read_and_65_are_refused(bracket: str) -> None:
    open, close = ("[", "]") if bracket == "[]" else ('{"a":', "}")

    assert parse_object(nested(64, open, close))
    with pytest.raises(InvalidRequest, match="nested deeper than 64"):
        parse_object(nested(65, open, close))


def test_levels_are_counted_anywhere_in_the_body() -> None:
    wide = ",".join(["[[],{}]"] * 100)

    assert parse_object(f'{{"a":[{wide}]}}'.encode())
    with pytest.raises(InvalidRequest, match="nested deeper"):
        parse_object(b'{"a":[' + wide.encode() + b'],"b":' + b"[" * 64 + b"]" * 64 + b"}")


@given(st.text('[]{}\\"a', max_size=300))
def test_brackets_inside_strings_do_not_count(text: str) -> None:
    value = {"a": text + "[" * 100, text + "{" * 100: [[]]}

    assert parse_object(json.dumps(value).encode()) == value


def test_more_containers_than_memory_could_bear_are_refused_before_they_are_read() -> None:
    within = b'{"a":[' + b"[]," * (MAX_CONTAINERS - 3) + b"[]]}"
    beyond = b'{"a":[' + b"[]," * (MAX_CONTAINERS - 2) + b"[]]}"

    assert len(parse_object(within)["a"]) == MAX_CONTAINERS - 2
    with pytest.raises(InvalidRequest, match="objects and lists"):
        parse_object(beyond)


def test_a_long_text_may_be_full_of_brackets() -> None:
    value = {"a": "[{" * MAX_CONTAINERS}

    assert parse_object(dumps(value)) == value


@pytest.mark.parametrize("end", [b"", b"\\", b'\\\\"'])
def test_a_string_without_an_end_costs_no_more_time_than_one_with_it(end: bytes) -> None:
    body = b"[" * (MAX_CONTAINERS + 1) + b'"' + b'\\"' * 1_000_000 + end

    with pytest.raises(InvalidRequest):  # trying again at each quote would take hours
        parse_object(body)


@pytest.mark.parametrize("sign", ["", "-"])
@pytest.mark.parametrize("digits", ["9" * 18, "9" * 19, "9" * 20, str(2**63), str(2**64)])
def test_integers_of_up_to_20_digits_come_through_unchanged(digits: str, sign: str) -> None:
    body = f'{{"seed":{sign}{digits}}}'.encode()

    assert parse_object(body) == {"seed": int(sign + digits)}
    assert dumps(parse_object(body)) == body


@pytest.mark.parametrize("sign", ["", "-"])
@pytest.mark.parametrize("count", [21, 309, 5000])
def test_integers_of_more_than_20_digits_are_refused(count: int, sign: str) -> None:
    with pytest.raises(InvalidRequest):
        parse_object(f'{{"seed":{sign}{"9" * count}}}'.encode())


def test_long_digits_in_strings_and_fractions_are_no_integers() -> None:
    body = b'{"a":"' + b"9" * 40 + b'","b":0.' + b"3" * 40 + b',"c":1e30}'

    value = parse_object(body)

    assert value["a"] == "9" * 40
    assert math.isclose(value["b"], 1 / 3)
    assert value["c"] == 1e30


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"  ",
        b"{",
        b"not json",
        b'{"a":1}{"b":2}',
        b"{'a':1}",
        b'{"a":1,}',
        b'{"a":01}',
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":-Infinity}',
        b'{"a":1e400}',
        b'{"a":-1e400}',
        b'{"a":99999999999999999999,"b":1e400}',
        b'{"a":"\\ud800"}',
        b'{"a":"\\udc00\\ud800"}',
        b'{"\\ud800":1}',
        b'{"a":"\xed\xa0\x80"}',
        b'{"a":"\xff"}',
        b'{"a":"\x00"}',
        b'\xef\xbb\xbf{"a":1}',
        '{"a":1}'.encode("utf-16"),
        b"[" * 100_000,
        b'{"a":' * 2000 + b"1" + b"}" * 2000,
        b"[]",
        b"7",
        b'"a"',
        b"null",
    ],
)
def test_what_is_no_strict_json_object_is_refused_with_invalid_json(body: bytes) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_object(body)

    assert (caught.value.status, caught.value.code) == (400, "invalid_json")


def test_a_refusal_names_the_place_and_never_quotes_the_body() -> None:
    with pytest.raises(InvalidRequest, match=r"line 2, column 11") as caught:
        parse_object(b'{"prompt":\n "secret" oops}')

    assert "secret" not in caught.value.message


@pytest.mark.parametrize("value", [b"2", b"99999999999999999999"])
def test_of_a_repeated_key_the_last_one_counts(value: bytes) -> None:
    assert parse_object(b'{"a":1,"a":' + value + b"}") == {"a": int(value)}


@given(
    st.binary(max_size=60) | st.text('{}[]",:0123456789.eE-\\u dtrf', max_size=60).map(str.encode)
)
def test_any_bytes_are_an_object_or_a_400(data: bytes) -> None:
    with suppress(InvalidRequest):
        assert parse_object(data).keys() == orjson.loads(data).keys()
