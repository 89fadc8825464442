"""What each provider knows: the facts that differ between OpenAI-compatible endpoints.

`table.py` is the one place where they stand. `dialect.py` makes of them the body that a provider is
to read, and the reason why a call cannot go there at all. `answers.py` brings answers into the
common shape, where a provider departs from it.

A call is never quietly made less than it was: what a provider does not know is named when it is
left out, and where the answer would be another one (tools, images, documents), the call does not
go there.
"""

from proxy.upstream.dialects.table import dialect_of as dialect_of
