"""The filters of the stand-in: the examples of the vendor's grammar."""

import pytest

from tests.upstash.filters import BadFilter, read

CITY = {
    "city": "Istanbul",
    "capital": False,
    "people": 15_460_000,
    "where": {"continent": "Asia", "at": {"lat": 41.0082}},
    "trades": ["Tourism", "Textiles", "Finance"],
}


@pytest.mark.parametrize(
    "filter",
    [
        "",
        "city = 'Istanbul'",
        'city = "Istanbul"',
        "city != 'Izmir' AND people = 15460000 AND capital = false",
        "capital = 0",
        "capital != 1 and capital != TRUE",
        "people < 2e7 and people <= 15460000 and people > 15459999.5 and people >= 1",
        "city GLOB '?[sz]*[^m-z]'",
        "city NOT GLOB 'i*'",
        "city in ('Izmir', 'Istanbul')",
        "where.continent NOT IN ('Europe', 'Africa')",
        "trades CONTAINS 'Tourism' AND trades NOT CONTAINS 'Steel'",
        "HAS FIELD where.at.lat AND HAS NOT FIELD where.at.long",
        "where.at.lat > -41",
        "trades[0] = 'Tourism' AND trades[#-1] = 'Finance'",
        "city = 'x' AND city = 'y' OR people > 1",
        "city = 'Istanbul' OR city = 'x' AND people < 1",
        "(city = 'x' OR people > 1) AND trades[1] = 'Textiles'",
    ],
)
def test_a_filter_that_is_true(filter: str) -> None:
    assert read(filter)(CITY)


@pytest.mark.parametrize(
    "filter",
    [
        "city = 'istanbul'",
        "city GLOB 'istanbul'",
        "mayor = 'x'",
        "mayor != 'x'",
        "people = '15460000'",
        "city < 3",
        "capital = true",
        "city CONTAINS 'Is'",
        "trades[7] = 'Tourism'",
        "city = 'x' AND (people > 1 OR capital = false)",
    ],
)
def test_a_filter_that_is_false(filter: str) -> None:
    assert not read(filter)(CITY)


@pytest.mark.parametrize(
    "filter",
    [
        "city",
        "city =",
        "city = Istanbul",
        "= 1",
        "a < 'x'",
        "(a = 1",
        "a IN 1",
        "a IN (1",
        "a = 1 b",
        "a = 'it's'",
        "a NOT 3",
        "a..b = 1",
        "a GLOB 3",
        "a ; b",
    ],
)
def test_a_filter_that_nobody_can_read(filter: str) -> None:
    with pytest.raises(BadFilter):
        read(filter)


def test_without_metadata_only_a_missing_field_is_true() -> None:
    assert read("HAS NOT FIELD city")(None)
    assert not read("city != 'x'")(None)
