from dataclasses import dataclass, field

import pytest

from proxy.access.door import Door
from proxy.config.settings import Config
from proxy.core.call import ANYONE, Caller
from proxy.core.errors import Forbidden, Unauthenticated

KEYED = Caller(key_id="k_1", name="app")


@dataclass
class Keys:
    """Keys that know one secret and remember who asked."""

    closed: bool = False
    asked: list[tuple[str, str]] = field(default_factory=list)

    def authenticate(self, header: str, address: str) -> Caller:
        self.asked.append((header, address))
        if header != "Bearer gp-right":
            raise Unauthenticated("no")
        return KEYED


def door(listen: str = "127.0.0.1:8080", *origins: str, keys: Keys | None = None) -> Door:
    providers = {"groq": {"keys": [{"name": "a", "value": "gsk_test"}]}}
    config = Config.model_validate(
        {"listen": listen, "auth": "none", "cors_origins": origins, "providers": providers}
    )
    return Door(config, keys or Keys())


def enter(entrance: Door, host: str = "localhost", origin: str = "", **headers: str) -> Caller:
    named = {"Host": host, "Origin": origin, **headers}
    return entrance.enter({name: value for name, value in named.items() if value}, "127.0.0.1")


LOOPBACK = [
    "",
    "localhost",
    "localhost:8080",
    "LOCALHOST:8080",
    "localhost.:8080",
    "app.localhost",
    "127.0.0.1",
    "127.0.0.1:8080",
    "127.0.0.1:1",
    "127.8.9.10",
    "[::1]",
    "[::1]:8080",
    "[0:0:0:0:0:0:0:1]:8080",
]
FOREIGN = [
    "evil.example",
    "evil.example:8080",
    "127.0.0.1.evil.example",
    "127.0.0.1.nip.io:8080",
    "localhost.evil.example",
    "localhost.localdomain",
    "evillocalhost",
    "localhost@evil.example",
    "user:localhost@evil.example:8080",
    "192.168.1.5",
    "10.0.0.1:8080",
    "8.8.8.8",
    "[2001:db8::1]:8080",
    "[::ffff:8.8.8.8]",
    "0x7f000001",
    "2130706433",
    "127.1",
    "0127.0.0.1",
    "１２７.0.0.1",
    "[::1",
    "::1",
    "[evil.example]",
    "]",
    ".",
    " ",
    "/",
    "%6cocalhost",
    "localhost%00",
    "evil.example localhost",
    "evil.example,localhost",
    "locаlhost",  # a Cyrillic letter
    "x" * 10_000,
]


@pytest.mark.parametrize("host", LOOPBACK)
def test_the_machines_own_names_come_in(host: str) -> None:
    assert enter(door(), host) is ANYONE


@pytest.mark.parametrize("host", FOREIGN)
def test_names_that_are_not_ours_stay_out(host: str) -> None:
    with pytest.raises(Forbidden) as caught:
        enter(door(), host)

    assert (caught.value.status, caught.value.code) == (403, "host_not_allowed")
    assert len(caught.value.message) < 300


@pytest.mark.parametrize("host", ["proxy.internal", "proxy.internal:80", "Proxy.Internal.:8080"])
def test_the_name_we_listen_on_comes_in(host: str) -> None:
    assert enter(door("Proxy.internal:8080"), host) is ANYONE


def test_the_address_we_listen_on_comes_in_and_its_neighbour_does_not() -> None:
    entrance = door("192.168.1.5:8080")

    assert enter(entrance, "192.168.1.5:8080") is ANYONE
    with pytest.raises(Forbidden):
        enter(entrance, "192.168.1.6:8080")


@pytest.mark.parametrize("listen", ["0.0.0.0:8080", "[::]:8080"])
@pytest.mark.parametrize(
    "host", [*LOOPBACK, "192.168.1.5:8080", "[2001:db8::1]:8080", "proxy", "PROXY:8080", "0.0.0.0"]
)
def test_listening_everywhere_addresses_and_plain_names_come_in(listen: str, host: str) -> None:
    assert enter(door(listen), host) is ANYONE


@pytest.mark.parametrize("listen", ["0.0.0.0:8080", "[::]:8080"])
@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.nip.io", "a.b", "[::1", "."])
def test_listening_everywhere_names_with_a_dot_stay_out(listen: str, host: str) -> None:
    with pytest.raises(Forbidden):
        enter(door(listen), host)


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://localhost:8080", "localhost:8080"),
        ("http://LOCALHOST:8080", "localhost:8080"),
        ("http://127.0.0.1:8080", "127.0.0.1:8080"),
        ("http://[::1]:8080", "[::1]:8080"),
        ("https://app.example", "localhost:8080"),
        ("HTTPS://App.Example", "localhost:8080"),
        ("http://dev.example:3000", "127.0.0.1:8080"),
    ],
)
def test_our_own_pages_and_listed_ones_may_call(origin: str, host: str) -> None:
    entrance = door("127.0.0.1:8080", "https://app.example:443", "http://dev.example:3000")

    assert entrance.allows(origin, host)
    assert enter(entrance, host, origin) is ANYONE


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "https://evil.example",
        "http://app.example",
        "https://app.example:8443",
        "https://app.example.evil.example",
        "https://evil.example/https://app.example",
        "http://localhost:3000",
        "http://localhost",
        "https://localhost:8080",
        "http://127.0.0.1:8080",
        "file://",
        "localhost:8080",
        " http://localhost:8080",
        "*",
        "x" * 10_000,
    ],
)
def test_pages_of_others_may_not_call(origin: str) -> None:
    entrance = door("127.0.0.1:8080", "https://app.example")

    assert not entrance.allows(origin, "localhost:8080")
    with pytest.raises(Forbidden) as caught:
        enter(entrance, "localhost:8080", origin)
    assert (caught.value.status, caught.value.code) == (403, "origin_not_allowed")
    assert len(caught.value.message) < 300


def test_a_page_that_came_by_rebinding_is_stopped_by_its_host() -> None:
    with pytest.raises(Forbidden) as caught:
        enter(door(), "evil.example:8080", "http://evil.example:8080")

    assert caught.value.code == "host_not_allowed"


@pytest.mark.parametrize("sent", ["", "Bearer unused", "Bearer gp-right", "Basic x"])
def test_while_no_key_is_needed_none_is_looked_at(sent: str) -> None:
    keys = Keys()

    assert enter(door(keys=keys), Authorization=sent) is ANYONE
    assert keys.asked == []


@pytest.mark.parametrize("host", [*LOOPBACK, *FOREIGN])
@pytest.mark.parametrize("origin", ["", "https://evil.example"])
def test_where_keys_are_needed_a_key_is_all_that_counts(host: str, origin: str) -> None:
    entrance = door(keys=Keys(closed=True))

    assert enter(entrance, host, origin, Authorization="Bearer gp-right") is KEYED
    for header in ("", "Bearer gp-wrong"):
        with pytest.raises(Unauthenticated):
            enter(entrance, host, origin, Authorization=header)


def test_the_address_of_whoever_knocks_is_known_to_the_keys() -> None:
    keys = Keys(closed=True)

    door(keys=keys).enter({"Authorization": "Bearer gp-right"}, "203.0.113.7")

    assert keys.asked == [("Bearer gp-right", "203.0.113.7")]


def test_whoever_wants_no_call_needs_no_key_but_while_open_the_right_names() -> None:
    keys = Keys()
    entrance = door(keys=keys)

    entrance.visit("localhost", "")
    for host, origin in (("evil.example", ""), ("localhost", "https://evil.example")):
        with pytest.raises(Forbidden):
            entrance.visit(host, origin)

        keys.closed = True
        entrance.visit(host, origin)
        keys.closed = False


def test_needing_keys_lets_no_more_pages_read_answers() -> None:
    entrance = door("127.0.0.1:8080", "https://app.example", keys=Keys(closed=True))

    assert entrance.allows("https://app.example", "api.example")
    assert not entrance.allows("https://evil.example", "api.example")
    assert not entrance.allows("http://api.example", "api.example")
