import pytest

from proxy.access.door import Door
from proxy.config.settings import Config
from proxy.core.call import ANYONE
from proxy.core.errors import Forbidden


def door(listen: str = "127.0.0.1:8080", *origins: str) -> Door:
    providers = {"groq": {"keys": [{"name": "a", "value": "gsk_test"}]}}
    return Door(
        Config.model_validate(
            {"listen": listen, "auth": "none", "cors_origins": origins, "providers": providers}
        )
    )


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
    assert door().enter(host, "") is ANYONE


@pytest.mark.parametrize("host", FOREIGN)
def test_names_that_are_not_ours_stay_out(host: str) -> None:
    with pytest.raises(Forbidden) as caught:
        door().enter(host, "")

    assert (caught.value.status, caught.value.code) == (403, "host_not_allowed")
    assert len(caught.value.message) < 300


@pytest.mark.parametrize("host", ["proxy.internal", "proxy.internal:80", "Proxy.Internal.:8080"])
def test_the_name_we_listen_on_comes_in(host: str) -> None:
    assert door("Proxy.internal:8080").enter(host, "") is ANYONE


def test_the_address_we_listen_on_comes_in_and_its_neighbour_does_not() -> None:
    entrance = door("192.168.1.5:8080")

    assert entrance.enter("192.168.1.5:8080", "") is ANYONE
    with pytest.raises(Forbidden):
        entrance.enter("192.168.1.6:8080", "")


@pytest.mark.parametrize("listen", ["0.0.0.0:8080", "[::]:8080"])
@pytest.mark.parametrize(
    "host", [*LOOPBACK, "192.168.1.5:8080", "[2001:db8::1]:8080", "proxy", "PROXY:8080", "0.0.0.0"]
)
def test_listening_everywhere_addresses_and_plain_names_come_in(listen: str, host: str) -> None:
    assert door(listen).enter(host, "") is ANYONE


@pytest.mark.parametrize("listen", ["0.0.0.0:8080", "[::]:8080"])
@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.nip.io", "a.b", "[::1", "."])
def test_listening_everywhere_names_with_a_dot_stay_out(listen: str, host: str) -> None:
    with pytest.raises(Forbidden):
        door(listen).enter(host, "")


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
    assert entrance.enter(host, origin) is ANYONE


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
        entrance.enter("localhost:8080", origin)
    assert (caught.value.status, caught.value.code) == (403, "origin_not_allowed")
    assert len(caught.value.message) < 300


def test_a_page_that_came_by_rebinding_is_stopped_by_its_host() -> None:
    with pytest.raises(Forbidden) as caught:
        door().enter("evil.example:8080", "http://evil.example:8080")

    assert caught.value.code == "host_not_allowed"
