from proxy.core.events import AccountsChanged, Event
from proxy.upstream.accounts import Accounts, Joined, Split

X, Y = "org_x111", "org_y222"


def accounts(**orgs: str | None) -> tuple[Accounts, list[Event]]:
    seen: list[Event] = []
    return Accounts({("groq", key): org for key, org in orgs.items()}, seen.append), seen


def test_keys_share_one_account_unless_the_configuration_says_otherwise() -> None:
    told, _ = accounts(k1=None, k2=None, k3="acme")

    assert [told.of("groq", key) for key in ("k1", "k2", "k3")] == ["shared", "shared", "acme"]
    assert told.of("groq", "never-heard-of") == "shared"


def test_a_refusal_that_fits_changes_nothing() -> None:
    told, seen = accounts(k1=None, k2=None, k3="acme")

    assert told.heard("groq", "k1", X) is None
    assert told.heard("groq", "k2", X) is None
    assert told.heard("groq", "k3", Y) is None
    assert told.heard("groq", "stranger", Y) is None
    assert seen == []


def test_keys_of_different_organisations_are_split() -> None:
    told, seen = accounts(k1=None, k2=None, k3=None)
    told.heard("groq", "k1", X)

    assert told.heard("groq", "k2", Y) == Split("k2", "k2")

    assert [told.of("groq", key) for key in ("k1", "k2", "k3")] == ["shared", "k2", "shared"]
    assert seen == [AccountsChanged("groq", ("k2",), joined=False)]
    assert told.heard("groq", "k2", Y) is None


def test_keys_of_one_organisation_are_joined_with_all_that_go_along() -> None:
    told, seen = accounts(k1="a", k2="b", k3="b")
    told.heard("groq", "k1", X)

    assert told.heard("groq", "k2", X) == Joined("a", ("k1", "k2", "k3"))

    assert {told.of("groq", key) for key in ("k1", "k2", "k3")} == {"a"}
    assert seen == [AccountsChanged("groq", ("k1", "k2", "k3"), joined=True)]


def test_a_key_that_was_split_off_is_found_by_its_like() -> None:
    told, _ = accounts(k1=None, k2=None, k3=None)
    told.heard("groq", "k1", X)
    told.heard("groq", "k2", Y)

    assert told.heard("groq", "k3", Y) == Joined("k2", ("k2", "k3"))
    assert told.of("groq", "k1") == "shared"


def test_a_label_is_never_given_twice() -> None:
    told, _ = accounts(k1=None, k2=None, k3="k2")
    told.heard("groq", "k1", X)

    assert told.heard("groq", "k2", Y) == Split("k2'", "k2")


def test_providers_do_not_mix() -> None:
    told = Accounts({("groq", "k"): None, ("gemini", "k2"): None}, lambda _: None)
    told.heard("groq", "k", X)

    assert told.heard("gemini", "k2", Y) is None


def test_a_reload_keeps_what_was_learned_of_keys_that_stay_as_they_are() -> None:
    told, _ = accounts(k1=None, k2=None)
    told.heard("groq", "k1", X)
    told.heard("groq", "k2", Y)

    told.configure({("groq", "k1"): "acme", ("groq", "k2"): None, ("groq", "k4"): None})

    assert [told.of("groq", key) for key in ("k1", "k2", "k4")] == ["acme", "k2", "shared"]


def test_an_organisation_is_kept_nowhere_as_it_is() -> None:
    told, seen = accounts(k1=None, k2=None)
    told.heard("groq", "k1", X)
    told.heard("groq", "k2", Y)

    assert X not in f"{vars(told)} {seen}"
    assert Y not in f"{vars(told)} {seen}"
