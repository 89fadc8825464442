"""Light dataclasses."""

from dataclasses import replace

from proxy.core.light import light


@light
class Point:
    x: int
    y: int = 0


def test_light_ones_are_equal_where_their_fields_are() -> None:
    assert Point(1, 2) == Point(1, 2) != Point(2, 1)
    assert {Point(1): "found"}[Point(1)] == "found"


def test_a_changed_one_is_another_one() -> None:
    point = Point(1, 2)
    assert replace(point, y=3) == Point(1, 3)
    assert point == Point(1, 2)


def test_light_ones_have_no_room_for_more() -> None:
    assert not hasattr(Point(1), "__dict__")
