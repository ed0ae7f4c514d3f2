"""Pooled vectors of texts from the frozen base: for the floor, baselines and retrieval."""

from collections.abc import Callable, Sequence
from concurrent.futures import Executor

import numpy as np
import torch

from fucina.models.base import Base
from fucina.models.stack import pool, pooled
from fucina.models.tokenize import encode
from fucina.models.trunk import assemble, chunks_by_length

__all__ = ["maker", "vectors_of"]


def maker(base: Base, threads: Executor) -> Callable[[Sequence[str]], np.ndarray]:
    """Give a function of n texts to n x d vectors, which remembers what it has computed."""
    known: dict[str, np.ndarray] = {}

    def features(texts: Sequence[str]) -> np.ndarray:
        new = sorted({text for text in texts if text not in known})
        if new:
            known.update(zip(new, vectors_of(base, threads, new), strict=True))
        return np.stack([known[text] for text in texts])

    return features


def vectors_of(
    base: Base, threads: Executor, texts: Sequence[str], *, normed: bool = True
) -> np.ndarray:
    """Vectors of length sqrt(d) of n texts, n x d; texts of like length are computed together.

    Args:
        base: Whose states are pooled.
        threads: Compute, one core each.
        texts: One or more.
        normed: Else they are as long as the states make them.
    """
    encoded = encode(texts, base.tokenizer, max_length_tokens=base.max_length_tokens)
    chunks = chunks_by_length(encoded.lengths, np.arange(len(texts)))

    def vectors(rows: np.ndarray) -> np.ndarray:
        device = next(base.network.parameters()).device
        batch = assemble(encoded, rows[None], base.tokenizer.pad_token_id).to(device)
        with torch.no_grad():
            body = base.network.get_submodule(base.body)
            mask = base.seen(batch.mask)
            states = body(input_ids=batch.ids, attention_mask=mask).last_hidden_state
        gather = pool if normed else pooled
        return gather(states.float(), batch.mask, base.pooling).cpu().numpy()

    found = np.empty((len(texts), base.width), dtype=np.float32)
    for rows, made in zip(chunks, threads.map(vectors, chunks), strict=True):
        found[rows] = made
    return found
