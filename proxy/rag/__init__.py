"""Answers from one's own documents.

- Coming in: `documents` finds files, `readers` tells their sections, `chunks` cuts these into
  passages, `ingest` writes what is new and removes what is gone.
- Going out: `retrieval` finds what a call wants (`asked`, `shelves`, `search`, `ranking`), and
  `injection` puts it before the question, between marks that no document can know.
- A passage's id is a digest of what it holds, so that equal ids mean equal text everywhere.
"""
