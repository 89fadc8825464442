from proxy.core.clock import WallWatch
from tests.fakes import FakeClock


def test_a_wall_clock_that_was_set_is_noticed_once() -> None:
    clock = FakeClock()
    watch = WallWatch(clock)

    clock.advance(3600)
    assert watch.jumped() == 0

    clock.set_wall(clock.wall() - 7200)
    clock.advance(0.1)
    assert round(watch.jumped()) == -7200
    assert watch.jumped() == 0


def test_small_corrections_are_no_jump() -> None:
    clock = FakeClock()
    watch = WallWatch(clock)

    clock.set_wall(clock.wall() + 59)

    assert watch.jumped() == 0
