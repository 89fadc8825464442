import pytest

from proxy.core.quota import Window
from proxy.simulator.catalogue import SERVED, Plan
from proxy.upstream.plans import limits


@pytest.mark.parametrize("model", SERVED)
def test_the_free_plan_is_that_of_the_published_page(model: str) -> None:
    published = SERVED[model].limits(Plan.FREE)

    assert limits("free", model) == {Window(key.value): n for key, n in published.items()}


@pytest.mark.parametrize("model", SERVED)
def test_the_developer_plan_names_no_limit_that_is_not_published(model: str) -> None:
    published = SERVED[model].limits(Plan.DEVELOPER)
    named = {Window(key.value): n for key, n in published.items() if key.value != "rpd"}

    assert limits("developer", model) == named


def test_without_a_plan_or_for_other_models_nothing_is_known() -> None:
    assert limits(None, "openai/gpt-oss-20b") == {}
    assert limits("free", "gemini-3.8-flash") == {}
