import pytest

from proxy.config.names import Address, base_url


@pytest.mark.parametrize("text", ["127.0.0.1:8080", "[::1]:8080", "0.0.0.0:80", "box.lan:0"])
def test_an_address_prints_as_it_was_written(text: str) -> None:
    assert str(Address.parse(text)) == text


@pytest.mark.parametrize(
    "text", ["8080", ":8080", "localhost", "host:", "host:http", "host:65536", "::1:8080", "[x]:1",
             "[127.0.0.1]:80", "http://host:80", "a b:80", "", 8080, None]
)  # fmt: skip
def test_what_is_no_address_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match=r"^must (be HOST:PORT|have an IPv6 address)"):
        Address.parse(text)


@pytest.mark.parametrize(
    ("host", "loopback", "wildcard"),
    [
        ("127.0.0.1", True, False),
        ("127.8.8.8", True, False),
        ("::1", True, False),
        ("::ffff:127.0.0.1", True, False),
        ("localhost", True, False),
        ("0.0.0.0", False, True),
        ("::", False, True),
        ("::ffff:0.0.0.0", False, True),
        ("10.0.0.5", False, False),
        ("localhost.evil.example", False, False),
    ],
)
def test_an_address_knows_who_can_reach_it(host: str, loopback: bool, wildcard: bool) -> None:
    address = Address(host, 80)

    assert (address.loopback, address.wildcard) == (loopback, wildcard)


def test_a_base_url_ends_without_a_slash() -> None:
    assert base_url("https://host:8443/v1/") == "https://host:8443/v1"


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ("ftp://host", "must be an address that starts with http:// or https://"),
        ("host/v1", "must be an address that starts with http:// or https://"),
        ("http://", "must be an address that starts with http:// or https://"),
        ("http://host:99999", "must be an address that starts with http:// or https://"),
        ("http://[::1", "must be an address that starts with http:// or https://"),
        ("http://ho st", "must be an address that starts with http:// or https://"),
        ("https://me:pw@host", "must not contain a user name or password"),
        ("https://host/v1?key=1", r"must not contain a query \(\?\) or a fragment \(#\)"),
        ("https://host/v1?", r"must not contain a query \(\?\) or a fragment \(#\)"),
        ("https://host/v1#x", r"must not contain a query \(\?\) or a fragment \(#\)"),
    ],
)
def test_a_base_url_is_plain_http(written: str, reason: str) -> None:
    with pytest.raises(ValueError, match=f"^{reason}$"):
        base_url(written)
