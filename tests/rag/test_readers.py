"""What is read from files of all kinds."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.rag.documents import BadDocument
from proxy.rag.readers import MOST_BYTES, read
from tests.rag.papers import bookmarked, encrypted, pdf

Read = list[tuple[str, str]]


def told(path: Path) -> Read:
    """What was read, as (title, text)."""
    return [(" > ".join(section.headings), section.text) for section in read(path)]


def reading(directory: Path, name: str, held: bytes | str) -> Read:
    path = directory / name
    path.write_bytes(held.encode() if isinstance(held, str) else held)
    return told(path)


def test_text_is_one_section_without_signs_that_nobody_sees(tmp_path: Path) -> None:
    written = "one \r\ntwo\x07\r\r\n\r\n\r\nthree\ufeff cafe\u0301\n"

    assert reading(tmp_path, "a.txt", written) == [("", "one\ntwo\n\nthree café")]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_byte_order_mark_tells_how_text_is_written(tmp_path: Path, encoding: str) -> None:
    assert reading(tmp_path, "a.txt", "Grüße, 世界".encode(encoding)) == [("", "Grüße, 世界")]


def test_markdown_is_parted_at_its_headings(tmp_path: Path) -> None:
    written = """Before.

# The *whole* `house`

Intro.

Rooms
-----
One.

### Kitchen ###
Two.

## Garden
## Roof
```sh
# no heading
```
> # nor this
<!-- nor
seen -->
Three.
"""

    assert reading(tmp_path, "a.md", written) == [
        ("", "Before."),
        ("The whole house", "Intro."),
        ("The whole house > Rooms", "One."),
        ("The whole house > Rooms > Kitchen", "Two."),
        ("The whole house > Roof", "```sh\n# no heading\n```\n> # nor this\n\nThree."),
    ]


@pytest.mark.parametrize(
    ("written", "titles"),
    [
        ('---\ntitle: "Big: Book"\ntags: [a]\n---\n# One\nx\n', ["Big: Book > One"]),
        ("---\ntitle: One\n---\n# One\nx\n", ["One"]),
        ("---\n---\nx\n", [""]),
        ("---\n\nx\n\n---\n\ny", [""]),
        ("---\nx: y", [""]),
    ],
)
def test_of_front_matter_the_title_is_used(tmp_path: Path, written: str, titles: list[str]) -> None:
    assert [title for title, _ in reading(tmp_path, "a.md", written)] == titles


def test_a_page_tells_what_its_reader_sees(tmp_path: Path) -> None:
    written = """<!doctype html><html><head><title>Shop &amp; Co</title>
<style>p {color: red}</style><script>let x = "<h1>no</h1>"</script></head>
<body><nav><a href=/>Home</a></nav>
<h1>Re<b>turns</b></h1><button>Copy</button><p>Within 30&nbsp;days,<br>free   of
charge.</p><ul><li>Keep <i>the</i> slip<li>Call us</ul>
<h2>Fees</h2><table><tr><th>What</th><th>Fee</th></tr><tr><td>Late</td><td>5 €</td></tr></table>
<pre>a
  b</pre><img src=x alt="A map"><svg><title>no</title></svg><template>no</template>
</body></html>"""

    assert reading(tmp_path, "a.html", written) == [
        (
            "Shop & Co > Returns",
            "Within 30 days,\nfree of charge.\n\n- Keep the slip\n- Call us",
        ),
        ("Shop & Co > Returns > Fees", "What | Fee\nLate | 5 €\n\na\n  b\n\nA map"),
    ]


@pytest.mark.parametrize(
    "written",
    [
        "<title>T</title><p>seen",
        "<head><title>T</title><p>seen",
        "<nav>no<body>seen",
        "seen</p></b>",
    ],
)
def test_a_page_need_not_be_well_formed(tmp_path: Path, written: str) -> None:
    assert [text for _, text in reading(tmp_path, "a.htm", written)] == ["seen"]


def test_a_page_may_name_its_encoding(tmp_path: Path) -> None:
    written = "<meta charset='iso-8859-1'><p>Käse</p>".encode("latin-1")

    assert reading(tmp_path, "a.html", written) == [("", "Käse")]
    for charset in ("zlib", "nosuch"):
        with pytest.raises(BadDocument, match="encoding that does not exist"):
            reading(tmp_path, "a.html", f"<meta charset={charset}><p>x".encode())


def test_a_nested_profile_becomes_one_titled_section_a_leaf(tmp_path: Path) -> None:
    profile = {
        "name": "Ada",
        "address": {"city": "London", "geo": {"lat": 51.5, "exact": True, "alt": None}},
        "skills": ["Go", "Python"],
        "jobs": [
            {"company": "Acme", "role": "Engineer"},
            {"role": "Cook", "places": [{"town": "Ulm"}]},
        ],
        "empty": {"a": [], "b": "", "c": {}},
    }

    assert reading(tmp_path, "a.json", json.dumps(profile)) == [
        ("Ada > name", "Ada"),
        ("Ada > address > city", "London"),
        ("Ada > address > geo > lat", "51.5"),
        ("Ada > address > geo > exact", "true"),
        ("Ada > skills", "- Go\n- Python"),
        ("Ada > jobs > Acme > company", "Acme"),
        ("Ada > jobs > Acme > role", "Engineer"),
        ("Ada > jobs > 2 > role", "Cook"),
        ("Ada > jobs > 2 > places > 1 > town", "Ulm"),
    ]
    assert reading(tmp_path, "b.json", '{"jobs": {"name": "x"}, "id": 7}') == [
        ("jobs > name", "x"),
        ("id", "7"),
    ]


def test_pieces_of_writing_in_json_stand_under_their_titles(tmp_path: Path) -> None:
    pieces = [
        {"id": 7, "title": "Returns", "text": "Within 30 days.", "meta": {"tag": "shop"}},
        {"id": "8", "content": "Untitled."},
    ]
    both = [("Returns", "Within 30 days."), ("Returns > meta > tag", "shop"), ("", "Untitled.")]
    lines = "\n\n".join(map(json.dumps, pieces)) + "\n"

    assert reading(tmp_path, "a.json", json.dumps(pieces)) == both
    assert reading(tmp_path, "a.jsonl", lines) == both
    assert reading(tmp_path, "b.json", json.dumps({"docs": pieces[:1]})) == [
        ("docs > Returns", "Within 30 days."),
        ("docs > Returns > meta > tag", "shop"),
    ]


def test_a_line_of_json_keeps_its_title_when_another_one_is_put_before_it(tmp_path: Path) -> None:
    line = '{"question": "Why?", "answer": "Because."}\n{"town": "Ulm"}'

    before = reading(tmp_path, "a.jsonl", line)
    after = reading(tmp_path, "a.jsonl", f'{{"name": "new"}}\n{line}')

    assert before == [("Why? > question", "Why?"), ("Why? > answer", "Because."), ("town", "Ulm")]
    assert after[1:] == before


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@given(JSON)
def test_no_leaf_of_json_is_lost(tmp_path_factory: pytest.TempPathFactory, value: object) -> None:
    path = tmp_path_factory.getbasetemp() / "leaves.json"
    path.write_text(json.dumps({"all": value, "number": 4711}, ensure_ascii=False))

    sections = told(path)

    assert ("number", "4711") in sections
    for leaf in leaves(value):
        assert any(leaf in text for _, text in sections)


def leaves(value: object) -> list[str]:
    """Words that are told as they are."""
    match value:
        case dict():
            return [leaf for key, each in value.items() if key for leaf in leaves(each)]
        case list():
            return [leaf for each in value for leaf in leaves(each)]
        case str():
            return [value] if value.isascii() and value.isalnum() else []
        case _:
            return [] if value is None else [json.dumps(value)]


def test_pages_of_a_pdf_are_titled_and_their_lines_put_together(tmp_path: Path) -> None:
    held = pdf(["The warr-", "anty lasts", "two years.", "Really."], ["Call us."])

    assert reading(tmp_path, "a.pdf", held) == [
        ("page 1", "The warranty lasts two years.\nReally."),
        ("page 2", "Call us."),
    ]
    assert reading(tmp_path, "named-otherwise", held)[1] == ("page 2", "Call us.")


def test_bookmarks_of_a_pdf_are_headings_of_its_pages(tmp_path: Path) -> None:
    held = bookmarked(pdf(["a"], ["b"], ["c"]), {"One": 0, "Two": 2}, below="Manual")

    titles = [title for title, _ in reading(tmp_path, "a.pdf", held)]

    assert titles == ["Manual > page 1", "Manual > page 2", "Manual > Two > page 3"]


def test_a_pdf_that_needs_no_password_to_be_read_is_read(tmp_path: Path) -> None:
    assert reading(tmp_path, "a.pdf", encrypted(pdf(["seen"]), "")) == [("page 1", "seen")]


GOOD_PDF = pdf(["text"])


@pytest.mark.parametrize(
    ("name", "held", "why"),
    [
        ("a.txt", b"caf\xe9 au lait", "is not UTF-8 (byte 3)"),
        ("a.txt", b"a\0b", "is not text"),
        ("a.bin", b"\x89PNG\r\n", "is not UTF-8"),
        ("a.json", b'{"a": 1,}', "is not JSON (line 1: "),
        ("a.json", b"[" * 500 + b"[]" + b"]" * 500, "nested deeper than 64 levels"),
        ("a.json", b'{"a":' * 500 + b"1" + b"}" * 500, "nested deeper than 64 levels"),
        ("a.jsonl", b'{"a": 1}\n\n{"a"\n', "line 3 is not JSON"),
        ("a.pdf", b"%PDF-1.7 nothing more", "is a damaged PDF"),
        ("a.pdf", b"no PDF at all", "is a damaged PDF"),
        ("a.pdf", GOOD_PDF[: len(GOOD_PDF) // 3], "is a damaged PDF"),
        ("a.pdf", pdf([]), "are its pages pictures?"),
        ("a.pdf", encrypted(GOOD_PDF, "secret"), "is encrypted"),
    ],
)
def test_what_cannot_be_read_is_told_with_the_reason(
    tmp_path: Path, name: str, held: bytes, why: str
) -> None:
    with pytest.raises(BadDocument) as caught:
        reading(tmp_path, name, held)

    assert why in str(caught.value)


def test_a_file_that_is_not_there_or_too_large_is_bad(tmp_path: Path) -> None:
    with pytest.raises(BadDocument, match="No such file"):
        read(tmp_path / "none.txt")
    with (tmp_path / "big.txt").open("wb") as file:
        file.truncate(MOST_BYTES + 1)
    with pytest.raises(BadDocument, match="larger than 64 MB"):
        read(tmp_path / "big.txt")


def why_bad(path: Path) -> str:
    """Why a file cannot be read; "" where it can, and what was read is never empty."""
    try:
        sections = read(path)
    except BadDocument as error:
        return str(error)
    assert all(section.text for section in sections)
    return ""


@given(st.binary(max_size=300), st.sampled_from(["txt", "md", "html", "json", "jsonl", "pdf"]))
def test_bytes_are_read_or_bad_whatever_they_are(
    tmp_path_factory: pytest.TempPathFactory, held: bytes, kind: str
) -> None:
    path = tmp_path_factory.getbasetemp() / f"any.{kind}"
    path.write_bytes(held)

    assert len(why_bad(path).splitlines()) < 2


@given(st.integers(0, len(GOOD_PDF)), st.binary(max_size=8))
def test_a_damaged_pdf_is_read_or_bad(
    tmp_path_factory: pytest.TempPathFactory, at: int, patch: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.pdf"
    path.write_bytes(GOOD_PDF[:at] + patch + GOOD_PDF[at + len(patch) :])

    assert why_bad(path).startswith(("", "is ", "holds "))
