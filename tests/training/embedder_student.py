"""The student: where its vectors start, how they learn, in which order the texts meet."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from proxy.embedding.protocol import Vectors

DIM = 256
_EPOCHS = 8
_BATCH = 2048
_RATE = 5e-3
_WARM_UP = 0.08  # share of all steps
_PULL = 1.0  # towards the start, times the rate, after each step
_HEAT = 0.05  # of the softmax over neighbours
_RARE = 1e-3  # a of SIF: pieces with this share of the corpus weigh half
_RMS = 0.06
_CLUSTERS = 400
_RUN = 64  # texts of one cluster that stand together


@dataclass(frozen=True, slots=True)
class Lesson:
    """What there is to learn: pieces of each text, and the teacher's vector in our space."""

    rows: Sequence[Sequence[int]]
    goals: Vectors  # texts x 256, of length 1
    full: Vectors  # texts x 384, what the teacher really said


def counted(rows: Sequence[Sequence[int]], pieces: int) -> NDArray[np.int64]:
    """How often each piece occurs in all rows."""
    return np.bincount(
        np.concatenate([np.asarray(row, np.int64) for row in rows]), minlength=pieces
    )


def start(spoken: Vectors, taught: Vectors, counts: NDArray[np.int64]) -> tuple[Vectors, Vectors]:
    """The untrained vectors, and the projection U (384 x 256) of the teacher's space into ours.

    `spoken` is what the teacher says to each piece alone, `taught` what it says to the texts.
    Pieces are weighed by "smooth inverse frequency". Source: Arora and others, "A simple but
    tough-to-beat baseline for sentence embeddings" (2017).
    """
    _, directions = np.linalg.eigh(taught.T @ taught)
    axes = np.ascontiguousarray(directions[:, ::-1][:, :DIM])
    shares = (counts + 0.5) / counts.sum()
    vectors = (spoken - spoken.mean(0)) @ axes
    vectors *= (_RARE / (_RARE + shares))[:, None]
    return (vectors * (_RMS / np.sqrt((vectors**2).mean()))).astype(np.float32), axes


def lesson(rows: Sequence[Sequence[int]], taught: Vectors, axes: Vectors) -> Lesson:
    """Texts with at least one piece, and their goals."""
    kept = [i for i, row in enumerate(rows) if row]
    goals = taught[kept] @ axes
    goals /= np.linalg.norm(goals, axis=1, keepdims=True)
    return Lesson([rows[i] for i in kept], goals, taught[kept])


def learned(
    begin: Vectors, work: Lesson, seed: int, told: Callable[[str], None], epochs: int = _EPOCHS
) -> Vectors:
    """The trained vectors.

    The loss of a batch has two parts of weight 1: each text should point where the teacher
    points, and see its neighbours in the batch as near as the teacher sees them.
    """
    chance = np.random.default_rng(seed)
    clusters = _clusters(work.full, chance)
    home = torch.from_numpy(begin)
    vectors = torch.nn.Parameter(home.clone())
    adam = torch.optim.Adam([vectors], lr=_RATE)
    steps = epochs * -(-len(work.rows) // _BATCH)
    step = 0
    for epoch in range(epochs):
        losses = []
        for batch in _meetings(clusters, chance):
            rate = _RATE * _cycle(step / steps)
            adam.param_groups[0]["lr"] = rate
            loss = _loss(vectors, work, batch)
            adam.zero_grad()
            loss.backward()
            adam.step()
            with torch.no_grad():
                vectors += rate * _PULL * (home - vectors)
            losses.append(loss.item())
            step += 1
        told(f"epoch {epoch + 1} of {epochs}: loss {np.mean(losses):.4f}")
    return vectors.detach().numpy()


def _loss(vectors: torch.Tensor, work: Lesson, batch: NDArray[np.int64]) -> torch.Tensor:
    rows = [work.rows[i] for i in batch]
    offsets = np.cumsum([0, *(len(row) for row in rows[:-1])])
    flat = torch.tensor([number for row in rows for number in row])
    sums = functional.embedding_bag(flat, vectors, torch.from_numpy(offsets), mode="sum")
    made = functional.normalize(sums, dim=1)
    goals, full = torch.from_numpy(work.goals[batch]), torch.from_numpy(work.full[batch])
    astray = (1 - (made * goals).sum(1)).mean()
    itself = torch.eye(len(batch), dtype=torch.bool)
    seen = (made @ made.T / _HEAT).masked_fill(itself, -1e4).log_softmax(1)
    wanted = (full @ full.T / _HEAT).masked_fill(itself, -1e4).log_softmax(1)
    return astray + functional.kl_div(seen, wanted, reduction="batchmean", log_target=True)


def _cycle(done: float) -> float:
    return done / _WARM_UP if done < _WARM_UP else (1 - done) / (1 - _WARM_UP)


def _meetings(clusters: NDArray[np.int64], chance: np.random.Generator) -> list[NDArray[np.int64]]:
    runs = []
    for cluster in range(_CLUSTERS):
        members = chance.permutation(np.flatnonzero(clusters == cluster))
        runs += np.split(members, range(_RUN, len(members), _RUN))
    order = chance.permutation(len(runs))
    line = np.concatenate([runs[i] for i in order])
    return np.split(line, range(_BATCH, len(line), _BATCH))


def _clusters(vectors: Vectors, chance: np.random.Generator) -> NDArray[np.int64]:
    centres = vectors[chance.choice(len(vectors), _CLUSTERS, replace=False)]
    for _ in range(8):
        nearest = np.concatenate(
            [(part @ centres.T).argmax(1) for part in np.array_split(vectors, 64)]
        )
        for cluster in range(_CLUSTERS):
            members = vectors[nearest == cluster]
            if len(members):
                centres[cluster] = members.mean(0)
        centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    return nearest
