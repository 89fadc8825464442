from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.core.call import Usage
from proxy.wire.usage import usage_of


def test_chat_usage_is_read_with_its_details_and_groqs_times() -> None:
    stated = {
        "queue_time": 0.05,
        "prompt_tokens": 1272,
        "prompt_time": 0.004,
        "completion_tokens": 88,
        "completion_time": 0.09,
        "total_tokens": 1360,
        "prompt_tokens_details": {"cached_tokens": 1152},
        "completion_tokens_details": {"reasoning_tokens": 71},
    }

    assert usage_of({"usage": stated}) == Usage(
        prompt=1272,
        completion=88,
        cached=1152,
        reasoning=71,
        queue_s=0.05,
        prompt_s=0.004,
        completion_s=0.09,
    )


def test_responses_usage_is_read() -> None:
    stated = {
        "input_tokens": 9,
        "input_tokens_details": {"cached_tokens": 8},
        "output_tokens": 4,
        "output_tokens_details": {"reasoning_tokens": 3},
    }

    assert usage_of({"usage": stated}) == Usage(prompt=9, completion=4, cached=8, reasoning=3)


def test_embeddings_have_no_output() -> None:
    assert usage_of({"usage": {"prompt_tokens": 9, "total_tokens": 9}}) == Usage(9, 0)


def test_groqs_own_place_counts_only_where_the_common_one_is_empty() -> None:
    own = {"usage": {"prompt_tokens": 1, "completion_tokens": 1}}

    assert usage_of({"x_groq": own}) == Usage(1, 1)
    assert usage_of({"usage": None, "x_groq": own}) == Usage(1, 1)
    assert usage_of({"usage": {"prompt_tokens": 2}, "x_groq": own}) == Usage(2, 0)


def test_groqs_hardware_counters_are_not_usage() -> None:
    assert usage_of({"x_groq": {"usage": {"dram_cached_tokens": 5}}}) is None


@pytest.mark.parametrize("stated", [None, 7, "x", [], {}])
def test_no_usage_is_none_and_not_zero(stated: Any) -> None:
    assert usage_of({"usage": stated}) is None


@pytest.mark.parametrize("nonsense", [-1, 1.5, "9", True, [9]])
@pytest.mark.parametrize("name", ["prompt_tokens", "completion_tokens"])
def test_a_count_that_makes_no_sense_voids_the_usage(name: str, nonsense: Any) -> None:
    assert usage_of({"usage": {"prompt_tokens": 9, "completion_tokens": 4, name: nonsense}}) is None


def test_an_explicit_zero_is_zero() -> None:
    assert usage_of({"usage": {"prompt_tokens": 0, "completion_tokens": 0}}) == Usage(0, 0)


@pytest.mark.parametrize("details", [None, 7, {}, {"cached_tokens": None}, {"cached_tokens": -3}])
def test_odd_details_are_zero(details: Any) -> None:
    assert usage_of({"usage": {"prompt_tokens": 9, "prompt_tokens_details": details}}) == Usage(
        9, 0
    )


@given(st.integers(0, 99), st.integers(0, 99), st.integers(0, 99), st.integers(0, 99))
def test_parts_are_never_more_than_their_whole(
    prompt: int, completion: int, cached: int, reasoning: int
) -> None:
    usage = usage_of(
        {
            "usage": {
                "prompt_tokens": prompt,
                "completion_tokens": completion,
                "prompt_tokens_details": {"cached_tokens": cached},
                "completion_tokens_details": {"reasoning_tokens": reasoning},
            }
        }
    )

    assert usage is not None
    assert usage.cached == min(cached, prompt)
    assert usage.reasoning == min(reasoning, completion)


@pytest.mark.parametrize("time", [-0.1, "1", True, None])
def test_a_time_that_makes_no_sense_is_unknown(time: Any) -> None:
    usage = usage_of({"usage": {"prompt_tokens": 9, "queue_time": time}})

    assert usage is not None
    assert usage.queue_s is None
