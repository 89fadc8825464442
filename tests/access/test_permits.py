"""Which models and endpoints a caller may use."""

import pytest

from proxy.access.permits import may_use, permitted
from proxy.core.call import ANYONE, Call, Caller, Endpoint, Target
from proxy.core.errors import Forbidden, ModelNotAllowed

SMALL, LARGE = Target("groq", "openai/gpt-oss-20b"), Target("groq", "openai/gpt-oss-120b")
FLASH = Target("gemini", "gemini-3.5-flash")


def call(
    model: str,
    *models: str,
    endpoint: Endpoint = Endpoint.CHAT,
    path: str = "chat/completions",
    endpoints: tuple[str, ...] = (),
) -> Call:
    caller = Caller("k1", "bot", models=models, endpoints=endpoints)
    return Call("c1", caller, endpoint, "POST", path, "", model, {}, stream=False)


def test_without_models_all_may_be_used() -> None:
    assert permitted(call("smart"), [SMALL, FLASH], "groq") == [SMALL, FLASH]


def test_a_name_of_ours_allows_all_that_it_leads_to() -> None:
    assert permitted(call("smart", "smart"), [SMALL, FLASH], "groq", alias=True) == [SMALL, FLASH]


@pytest.mark.parametrize("named", ["openai/gpt-oss-20b", "groq/openai/gpt-oss-20b"])
def test_a_model_is_allowed_by_its_id_or_its_whole_name(named: str) -> None:
    asked = call("openai/gpt-oss-20b", named)

    assert list(permitted(asked, [SMALL], "groq")) == [SMALL]


def test_a_model_that_stands_in_for_another_must_be_named_too() -> None:
    asked = call("openai/gpt-oss-20b", "openai/gpt-oss-20b", "gemini/gemini-3.5-flash")

    assert list(permitted(asked, [SMALL, LARGE, FLASH], "groq")) == [SMALL, FLASH]


def test_an_alias_that_is_not_named_may_lead_to_a_model_that_is() -> None:
    asked = call("smart", "openai/gpt-oss-20b")

    assert list(permitted(asked, [SMALL, LARGE], "groq")) == [SMALL]


def test_a_model_that_is_not_named_is_refused_by_its_name() -> None:
    with pytest.raises(ModelNotAllowed, match="gpt-oss-120b") as refused:
        permitted(call("openai/gpt-oss-120b", "smart"), [LARGE, SMALL], "groq")

    assert (refused.value.status, refused.value.code) == (403, "model_not_allowed")
    assert refused.value.param == "model"


def test_an_alias_whose_first_target_is_not_named_is_refused_whatever_follows() -> None:
    with pytest.raises(ModelNotAllowed):
        permitted(call("smart", "openai/gpt-oss-120b"), [SMALL, LARGE], "groq")


def test_an_upload_that_does_not_tell_its_model_is_refused_under_a_list() -> None:
    upload = call("", "whisper-large-v3", endpoint=Endpoint.AUDIO, path="audio/transcriptions")

    with pytest.raises(ModelNotAllowed, match="does not begin with its model"):
        permitted(upload, [Target("groq", "")], "groq")


def test_a_long_name_is_not_quoted_in_full() -> None:
    with pytest.raises(ModelNotAllowed) as refused:
        permitted(call("x" * 1_000, "smart"), [Target("groq", "x" * 1_000)], "groq")

    assert len(refused.value.message) < 400


@pytest.mark.parametrize("part", ["files", "batches"])
def test_files_and_batches_need_leave_of_their_own(part: str) -> None:
    asked = call("", endpoint=Endpoint.OTHER, path=f"{part}/abc/content")
    target = Target("groq", "")

    with pytest.raises(Forbidden, match=part) as refused:
        permitted(asked, [target], "groq")
    assert refused.value.code == "endpoint_not_allowed"

    allowed = call("", "smart", endpoint=Endpoint.OTHER, path=part, endpoints=(part,))
    assert list(permitted(allowed, [target], "groq")) == [target]


def test_without_keys_files_are_open_to_all() -> None:
    asked = Call("c1", ANYONE, Endpoint.OTHER, "GET", "files", "", "", None, stream=False)

    assert list(permitted(asked, [Target("groq", "")], "groq")) == [Target("groq", "")]


def test_an_id_alone_means_the_default_provider_only() -> None:
    assert may_use(["gemini-3.5-flash"], FLASH, "gemini")
    assert not may_use(["gemini-3.5-flash"], FLASH, "groq")
    assert may_use(["gemini/gemini-3.5-flash"], FLASH, "groq")
