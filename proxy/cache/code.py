"""Whether two pieces of code do the same, as far as their words tell: without running them."""

import re
from collections import Counter
from typing import Final

from proxy.cache.sayings import depths

_COMMENT: Final = re.compile(
    r"(?m)(?:(?<=\s)|^)(?:#(?!include|define)|//)[^\n]*$|/\*.{0,400}?\*/", re.DOTALL
)
_TOKEN: Final = re.compile(
    r"\"\"\".*?\"\"\"|'''.*?'''|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'"
    r"|\d[\w.]*|\w+|[-+*/%<>=!&|^:]+|[^\w\s]",
    re.DOTALL,
)
_DOCUMENTED: Final = re.compile(r"(?m)^[ \t]*(?:\"\"\".*?\"\"\"|'''.*?''')[ \t]*$", re.DOTALL)
_NAME: Final = re.compile(r"[^\W\d]\w*")
_DEFINES: Final = frozenset({"def", "function", "fn", "func", "class", "fun", "sub"})
_BLOCK: Final = re.compile(r":[ \t]*$", re.MULTILINE)


def tokens_of(code: str) -> list[str]:
    """Names, numbers, texts and signs, without comments; texts in one kind of quotes."""
    bare = _COMMENT.sub("", _DOCUMENTED.sub("", code))
    found = _TOKEN.findall(bare)
    return [f'"{each[1:-1]}"' if each[0] == "'" and len(each) > 1 else each for each in found]


def common(a: str, b: str) -> float:
    """The share of tokens that two pieces of code have in common; 1 for no code at all."""
    if not a.strip() and not b.strip():
        return 1.0
    one, other = Counter(tokens_of(a)), Counter(tokens_of(b))
    return 2 * (one & other).total() / max(1, one.total() + other.total())


def same_code(a: str, b: str) -> bool:
    """Whether they differ in nothing but comments, quotes, the width of steps and names.

    A name may be another one where it is the program's own, and neither is in both.
    """
    if _depths(a) != _depths(b):
        return False
    one, other = tokens_of(a), tokens_of(b)
    if len(one) != len(other):
        return False
    own, others = _own_names(one), _own_names(other)
    mine, yours = own - others, others - own
    names: dict[str, str] = {}
    for left, right in zip(one, other, strict=True):
        if left != right and not (left in mine and right in yours):
            return False
        if names.setdefault(left, right) != right:
            return False
    return len(set(names.values())) == len(names)


def _depths(code: str) -> list[int]:
    """How deep the lines stand, where that says something: in code with blocks behind colons."""
    if not _BLOCK.search(code):
        return []
    return depths(_COMMENT.sub("", _DOCUMENTED.sub("", code)))


def _own_names(tokens: list[str]) -> set[str]:
    """Names that are no function's or field's of somebody else."""
    beside = zip(["", *tokens], tokens, [*tokens[1:], ""], strict=False)
    others, defined = set[str](), set[str]()
    for before, token, after in beside:
        if before in _DEFINES:
            defined.add(token)
        elif before == "." or after == "(":
            others.add(token)
    named = {token for token in tokens if _NAME.fullmatch(token)}
    return (named - others - _WORDS) | defined


_WORDS: Final = frozenset(
    [
        *("and", "or", "not", "in", "is", "if", "else", "elif", "for", "while", "return", "True"),
        *("False", "None", "true", "false", "null", "self", "this", "def", "class", "function"),
        *("let", "const", "var", "int", "float", "str", "string", "bool", "double", "void", "new"),
        *("import", "from", "as", "try", "except", "catch", "finally", "with", "lambda", "yield"),
        *("break", "continue", "pass", "async", "await", "static", "public", "private", "switch"),
        *("case", "default", "do", "then", "select", "where", "order", "group", "by", "limit"),
        *("join", "on", "asc", "desc", "union", "all", "distinct", "SELECT", "FROM", "WHERE"),
        *("ORDER", "GROUP", "BY", "LIMIT", "JOIN", "LEFT", "RIGHT", "INNER", "ON", "ASC", "DESC"),
        *("AND", "OR", "NOT", "NULL", "LIKE", "BETWEEN", "INSERT", "UPDATE", "DELETE", "SET"),
        *("INTO", "VALUES", "UNION", "ALL", "DISTINCT", "HAVING", "any", "raise", "throw"),
    ]
)
