"""The README says what the code does."""

import re

import pytest
from click import Group

from proxy.cli import main
from tests.readme import README, rendered


def test_its_tables_are_those_of_the_code() -> None:
    text = README.read_text()

    assert text == rendered(text), "run: python -m tests.readme"


def test_every_command_is_listed() -> None:
    assert isinstance(main, Group)
    listed = set(re.findall(r"^\| `groq-proxy (\w+)", README.read_text(), flags=re.MULTILINE))

    assert listed == set(main.commands)


@pytest.mark.parametrize("word", ["session", "issue #", "/work/"])
def test_it_speaks_of_the_product_alone(word: str) -> None:
    assert word not in README.read_text()
