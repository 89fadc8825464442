import pytest

from proxy.core.quota import Counts, Need, Shortage, Window


@pytest.mark.parametrize(
    ("window", "seconds", "counts"),
    [
        (Window.RPM, 60, Counts.REQUESTS),
        (Window.RPD, 86_400, Counts.REQUESTS),
        (Window.TPM, 60, Counts.TOKENS),
        (Window.TPD, 86_400, Counts.TOKENS),
        (Window.ASH, 3_600, Counts.AUDIO),
        (Window.ASD, 86_400, Counts.AUDIO),
        (Window.ITPM, 60, Counts.INPUT),
        (Window.OTPM, 60, Counts.OUTPUT),
        (Window.OTHER, 0, Counts.REQUESTS),
    ],
)
def test_a_window_knows_its_length_and_what_fills_it(
    window: Window, seconds: int, counts: Counts
) -> None:
    assert (window.seconds, window.counts) == (seconds, counts)


def test_a_need_is_its_prompt_and_what_the_answer_may_add() -> None:
    need = Need(1_000, 200, audio_s=7.0)

    assert [need.of(counts) for counts in Counts] == [1, 1_000, 200, 800, 7.0]
    assert [need.least_of(counts) for counts in Counts] == [1, 200, 200, 0.0, 7.0]


def test_the_organisation_of_a_shortage_is_not_shown() -> None:
    assert "org_123" not in repr(Shortage(org="org_123"))
