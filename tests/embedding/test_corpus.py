from pathlib import Path
from random import Random

from tests.training.embedder_manuals import Section, sections, sentences
from tests.training.embedder_questions import Questions

NOUNS = ["dog", "lamp", "idea", "border collie"]
PAGE = (
    """
<html><head><title>no heading</title><style>p {}</style></head><body>
<h1>1.2. Opening files<a href="#x">¶</a></h1>
<p>Use <code>open</code> for that.
It gives a file.</p><pre>open("x")</pre><ul><li>Close it.</li></ul>
<h2>Errors</h2><p>"""
    + "An error. " * 30
    + """</p>
</body></html>
"""
)


def test_every_blank_in_a_pattern_is_filled() -> None:
    questions = list(Questions(NOUNS, Random(1)).singles(3000))

    assert not [question for question in questions if "{" in question or "}" in question]
    assert not [question for question in questions if not question.strip()]


def test_a_question_has_three_wordings() -> None:
    groups = list(Questions(NOUNS, Random(1)).groups(500))

    assert {len(group) for group in groups} == {3}


def test_the_same_dice_give_the_same_questions() -> None:
    first = list(Questions(NOUNS, Random(5)).singles(50))

    assert list(Questions(NOUNS, Random(5)).singles(50)) == first
    assert list(Questions(NOUNS, Random(6)).singles(50)) != first


def test_a_page_becomes_headed_sections_without_code(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text(PAGE, encoding="utf-8")

    opening, errors = sections(page)

    assert opening == Section("Opening files", ["Use open for that. It gives a file.", "Close it."])
    assert errors.title == "Errors"


def test_a_passage_ends_with_a_whole_paragraph() -> None:
    section = Section("x", ["a" * 50, "b" * 50, "c" * 50])

    assert section.passage(120) == "a" * 50 + " " + "b" * 50


def test_a_paragraph_is_cut_after_its_sentences() -> None:
    assert sentences("It works. Does it? Yes, e.g. here.") == [
        *("It works.", "Does it?", "Yes, e.g. here."),
    ]
