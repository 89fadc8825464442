"""Documents that are made to take forever take no longer than others of their size."""

import time
from pathlib import Path

import pytest

from proxy.rag.chunks import pieces
from proxy.rag.injection import without_marks
from proxy.rag.readers import read

_MUCH = 200_000  # characters; what takes the square of them would take minutes
_SOON_S = 5.0  # on a busy machine

TEXTS = {
    "blanks.txt": f"a{' ' * _MUCH}b",
    "word.txt": "a" * _MUCH,
    "stops.txt": "。" * _MUCH,
    "blanks.md": f"---\ntitle: a{' ' * _MUCH}b\n---\nText.",
    "brackets.md": f"# {'[' * _MUCH}\n{'[' * _MUCH}",
    "images.md": "![a](" * (_MUCH // 5),
    "comments.html": f"<p>Text.{'<!--' * (_MUCH // 4)}>",
    "tags.html": f"<p>Text.{'<a ' * (_MUCH // 3)}",
    "attributes.html": "<p>Text." + '<a b="' * (_MUCH // 6),
    "sections.html": f"<p>Text.{'<![CDATA[' * (_MUCH // 9)}>",
    "orders.html": f"<p>Text.{'<?' * (_MUCH // 2)}",
    "hidden.html": f"<p>Text.{'<nav>' * (_MUCH // 10)}{'</x>' * (_MUCH // 8)}",
}


@pytest.mark.parametrize("name", TEXTS)
def test_a_document_is_read_and_cut_in_time(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(TEXTS[name])
    began = time.perf_counter()

    sections = read(tmp_path / name)
    for section in sections:
        list(pieces(section.text))

    assert sections
    assert time.perf_counter() - began < _SOON_S


def test_a_passage_of_brackets_is_put_in_in_time() -> None:
    began = time.perf_counter()

    without_marks("<" * _MUCH, "mark")

    assert time.perf_counter() - began < _SOON_S


def test_what_a_page_does_not_end_is_text(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text("<p>It is <!-- here --> 1 < 2 and <b>so</b> on <!-- and 3 < 4")

    [section] = read(tmp_path / "a.html")

    assert section.text == "It is 1 < 2 and so on <!-- and 3 < 4"
