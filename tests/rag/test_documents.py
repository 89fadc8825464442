"""Which files are found behind paths, what they are called, and which are gone."""

import os
from pathlib import Path

import pytest

from proxy.rag.documents import Found, find


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A working directory with `docs` in it."""
    for name in ("a.md", "b.PDF", "guide/c.html", "guide/d.png", ".hidden/e.md", "guide/.f.md"):
        path = tmp_path / "here" / "docs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    return tmp_path / "here"


def names(found: Found) -> list[str]:
    assert not found.bad
    return [source.name for source in found.sources]


ALL = ["docs/a.md", "docs/b.PDF", "docs/guide/c.html"]


def test_a_folder_holds_all_that_can_be_read_and_is_not_hidden(here: Path) -> None:
    found = find(["docs"], here)

    assert names(found) == ALL
    assert [source.path for source in found.sources] == [here / name for name in ALL]
    assert found.others == 1


def test_a_document_is_called_the_same_from_wherever_it_is_named(here: Path) -> None:
    for named, working in (
        (["docs/"], here),
        ([str(here / "docs")], here.parent.parent),
        (["."], here / "docs"),
        (["../../docs"], here / "docs" / "guide"),
        (["docs/*", "docs/guide/../**/*.html"], here),
        (ALL, here),
        ([*ALL, *ALL, "docs"], here),
    ):
        assert set(names(find(named, working))) == set(ALL)


def test_a_glob_finds_what_it_says_and_what_is_named_is_read_whatever_its_kind(here: Path) -> None:
    assert names(find(["docs/**/*.md"], here)) == ["docs/a.md"]
    assert names(find(["docs/guide/[c-d].*"], here)) == ["docs/guide/c.html", "docs/guide/d.png"]
    assert names(find(["docs/guide/.f.md"], here)) == ["docs/guide/.f.md"]
    (here / "odd[1].md").write_text("x")
    assert names(find(["odd[1].md"], here)) == ["here/odd[1].md"]


def test_what_is_not_found_is_told_and_the_rest_is_found(here: Path) -> None:
    os.mkfifo(here / "pipe")

    found = find(["docs/none.md", "docs/*.rst", "pipe", "x\0", "docs/a.md"], here)

    assert found.bad == [
        ("docs/none.md", "there is no such file"),
        ("docs/*.rst", "no file is like that"),
        ("pipe", "is neither a file nor a folder"),
        ("x\0", "there is no such file"),
    ]
    assert [source.name for source in found.sources] == ["docs/a.md"]


def test_two_files_that_would_be_called_the_same_are_not_mixed_up(here: Path) -> None:
    for name in ("x/docs/a.md", "y/docs/a.md"):
        (here.parent / name).parent.mkdir(parents=True)
        (here.parent / name).write_text("x")

    found = find(["../x/docs", "../y/docs"], here)

    assert [source.path for source in found.sources] == [here.parent / "x/docs/a.md"]
    [(path, why)] = found.bad
    assert path == str(here.parent / "y/docs/a.md")
    assert "is called 'docs/a.md', and so is" in why


def test_a_name_is_one_line_of_text_whatever_the_file_is_called(here: Path) -> None:
    (here / "docs" / "guide" / "line\nbreak.md").write_text("x")

    assert "docs/guide/line?break.md" in names(find(["docs"], here))


def test_links_to_files_are_read_and_to_folders_not_followed(here: Path) -> None:
    (here / "docs" / "link.md").symlink_to(here / "docs" / "a.md")
    (here / "docs" / "round").symlink_to(here / "docs")

    assert names(find(["docs"], here)) == sorted([*ALL, "docs/link.md"], key=lambda n: n.count("/"))


def test_a_document_is_lost_if_we_looked_where_it_was_and_it_is_not_there(here: Path) -> None:
    inside, deeper, outside = "docs/none.md", "docs/guide/none.md", "other/none.md"
    for named, lost in (
        (["docs"], {inside, deeper}),
        ([str(here / "docs")], {inside, deeper}),
        (["docs/**/*.md"], {inside, deeper}),
        (["docs/a.md"], {inside}),  # as `docs/*.md` may have become, in a shell
        (["docs/guide"], {deeper}),
        (["docs/nowhere.md"], set()),
        (["nodocs"], set()),
    ):
        found = find(named, here)
        assert {name for name in (inside, deeper, outside) if found.lost(name)} == lost
        assert not any(found.lost(name) for name in (*ALL, "docs/.hidden/e.md", "docs/../../x"))


def test_a_document_whose_name_cannot_be_told_is_not_lost_either(here: Path) -> None:
    odd = here / "docs" / "new\nline.md"
    odd.write_text("x")
    found = find(["docs/a.md"], here)

    assert not found.lost("docs/new?line.md")
    odd.unlink()
    assert found.lost("docs/new?line.md")


def test_what_cannot_be_looked_at_is_not_lost(here: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may look everywhere")
    (here / "docs" / "guide").chmod(0)

    try:
        found = find(["docs"], here)
        assert found.bad == [(str(here / "docs" / "guide"), "Permission denied")]
        assert not found.lost("docs/guide/c.html")
    finally:
        (here / "docs" / "guide").chmod(0o700)
