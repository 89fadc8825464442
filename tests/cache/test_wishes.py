"""What a caller says about caching."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from proxy.cache.wishes import NO_WISHES, Wishes, wishes
from proxy.core.errors import InvalidRequest

REFRESH = Wishes(read=False)
NEITHER = Wishes(read=False, write=False)
OFF = Wishes(read=False, write=False, tiers="off")


def said(*headers: tuple[str, str], field: object = None) -> Wishes:
    return wishes(CIMultiDict(headers), field)


def control(*values: str) -> Wishes:
    return said(*(("Cache-Control", value) for value in values))


def test_who_says_nothing_may_have_all() -> None:
    assert said(("Accept", "*/*")) == NO_WISHES == Wishes()


@pytest.mark.parametrize(
    ("value", "meant"),
    [
        ("no-cache", REFRESH),
        ("no-store", NEITHER),
        ("only-if-cached", Wishes(only_if_cached=True)),
        ("max-age=60", Wishes(max_age_s=60.0)),
        ('max-age="60"', Wishes(max_age_s=60.0)),
        ("max-age = 60", Wishes(max_age_s=60.0)),
        ("max-age=0", REFRESH),
        ("max-age=" + "9" * 5000, Wishes(max_age_s=float("inf"))),
        ("No-Cache", REFRESH),
        ("no-cache=x", REFRESH),
        (" no-cache ,max-age=5,, ONLY-IF-CACHED", Wishes(False, True, True, 5.0)),
        ("max-age=60, max-age=5", Wishes(max_age_s=5.0)),
        ("no-cache, no-store", NEITHER),
        ("no-transform, min-fresh=soon, max-stale, private, x=y", NO_WISHES),
        ("no-caches", NO_WISHES),
        ("", NO_WISHES),
    ],
)
def test_cache_control_is_read_as_http_has_it(value: str, meant: Wishes) -> None:
    assert control(value) == meant


def test_a_header_that_comes_twice_is_read_twice() -> None:
    assert control("max-age=60", "no-cache") == Wishes(read=False, max_age_s=60.0)
    assert said(("x-proxy-cache", "exact"), ("X-Proxy-Cache", "off")) == OFF


@pytest.mark.parametrize(
    ("name", "value", "meant"),
    [
        ("x-proxy-cache", "off", OFF),
        ("x-proxy-cache", "exact", Wishes(tiers="exact")),
        ("x-proxy-cache", "semantic", NO_WISHES),
        ("X-Proxy-Cache", " Exact ", Wishes(tiers="exact")),
        ("x-proxy-max-error", "0.005", Wishes(max_error=0.005)),
        ("x-proxy-max-error", ".5", Wishes(max_error=0.5)),
        ("x-proxy-max-error", "1e-05", Wishes(max_error=0.00001)),
        ("x-proxy-max-error", "0", Wishes(max_error=0.0)),
        ("x-proxy-max-error", "1.0", Wishes(max_error=1.0)),
        ("x-portkey-cache-force-refresh", "true", REFRESH),
        ("x-portkey-cache-force-refresh", "False", NO_WISHES),
        ("Helicone-Cache-Enabled", "true", NO_WISHES),
        ("helicone-cache-enabled", "FALSE", OFF),
    ],
)
def test_our_own_headers_and_those_of_other_gateways_count(
    name: str, value: str, meant: Wishes
) -> None:
    assert said((name, value)) == meant


@pytest.mark.parametrize(
    ("field", "meant"),
    [
        ({"no-cache": True}, REFRESH),
        ({"no-store": True}, NEITHER),
        ({"ttl": 60}, Wishes(ttl_s=60.0)),
        ({"ttl": 0.5, "no-cache": True}, Wishes(read=False, ttl_s=0.5)),
        ({"ttl": 0}, Wishes(write=False, ttl_s=0.0)),
        ({"no-cache": False, "no-store": None, "ttl": None}, NO_WISHES),
        ({"namespace": "x", "use-cache": True}, Wishes(namespace="x")),
        ({"s-maxage": 60}, Wishes(max_age_s=60)),
        ({"s-maxage": 0}, Wishes(read=False)),
        ({}, NO_WISHES),
    ],
)
def test_the_field_of_the_body_counts(field: Mapping[str, Any], meant: Wishes) -> None:
    assert said(field=field) == meant


BAD_HEADERS = {
    "x-proxy-cache": ["", "on", "exact,off", "none"],
    "x-proxy-max-error": ["", "0.5%", "1.01", "-0.1", "nan", "inf", "1_0", "٣", "1e5", "9" * 8000],
    "x-portkey-cache-force-refresh": ["", "1", "yes"],
    "Helicone-Cache-Enabled": ["", "0", "no"],
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, bad in BAD_HEADERS.items() for value in bad]
)
def test_a_header_without_meaning_is_refused_by_its_name(name: str, value: str) -> None:
    with pytest.raises(InvalidRequest, match=name) as caught:
        said((name.lower(), value))

    assert caught.value.param == name


@pytest.mark.parametrize(
    "field",
    [
        *([], "no-store", 0),
        *({"no-cache": 1}, {"no-cache": 0}, {"no-store": "true"}),
        *({"s-maxage": "1"}, {"namespace": 1}),
        *({"ttl": "60"}, {"ttl": True}, {"ttl": -1}),
    ],
)
def test_a_field_without_meaning_is_refused_by_its_name(field: object) -> None:
    with pytest.raises(InvalidRequest, match="cache") as caught:
        said(field=field)

    assert caught.value.param == "cache"


@pytest.mark.parametrize("age", ["", "=", "=-1", "=1.5", "=soon", "=٣", "=²"])
def test_an_age_without_meaning_asks_for_a_new_answer_as_http_has_it(age: str) -> None:
    assert control(f"max-age{age}") == control("no-cache")


def test_the_field_may_be_a_switch() -> None:
    assert said(field=True) == NO_WISHES
    assert said(field=False) == Wishes(read=False, write=False)


def test_what_only_if_cached_cannot_have_is_told_apart() -> None:
    assert control("only-if-cached, no-cache") == Wishes(read=False, only_if_cached=True)


headers = st.lists(
    st.one_of(
        st.tuples(
            st.just("Cache-Control"),
            st.lists(
                st.sampled_from(["no-cache", "no-store", "only-if-cached", "private"])
                | st.integers(0, 99).map("max-age={}".format)
            ).map(", ".join),
        ),
        st.tuples(st.just("x-proxy-cache"), st.sampled_from(["off", "exact", "semantic"])),
        st.tuples(st.just("x-proxy-max-error"), st.floats(0, 1).map("{:.6f}".format)),
        st.tuples(
            st.sampled_from(["x-portkey-cache-force-refresh", "Helicone-Cache-Enabled"]),
            st.sampled_from(["true", "false"]),
        ),
    ),
    max_size=4,
)
fields = st.none() | st.fixed_dictionaries(
    {},
    optional={
        "no-cache": st.booleans(),
        "no-store": st.booleans(),
        "ttl": st.integers(0, 99),
    },
)


@given(headers, headers, fields)
def test_to_say_more_never_allows_more(
    some: list[tuple[str, str]], more: list[tuple[str, str]], field: object
) -> None:
    before, after = said(*some), said(*some, *more, field=field)

    assert before.and_also(after) == after


@given(headers, headers)
def test_the_order_of_headers_does_not_matter(
    some: list[tuple[str, str]], more: list[tuple[str, str]]
) -> None:
    assert said(*some, *more) == said(*more, *some) == said(*some).and_also(said(*more))


@given(
    st.dictionaries(st.sampled_from([*BAD_HEADERS]), st.text(max_size=20)),
    st.none() | st.dictionaries(st.sampled_from(["no-cache", "no-store", "ttl"]), st.integers()),
)
def test_nothing_that_is_said_breaks_us(said: Mapping[str, str], field: object) -> None:
    with suppress(InvalidRequest):
        wishes(said, field)
