"""Text becomes a vector; questions that mean nearly the same point nearly the same way.

An `Embedder` has a fingerprint. Vectors of two embedders cannot be compared, so the fingerprint
belongs into every key under which vectors are kept. Three kinds exist: `builtin` (always there,
microseconds), `minilm` (the extra `semantic`, milliseconds) and `remote` (any `/v1/embeddings`).
`loading` makes one ready behind the back of a running gateway, `selfcheck` refuses one that
cannot tell questions apart, `memory` keeps a text from being embedded twice.
"""
