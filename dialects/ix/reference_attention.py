"""NumPy semantics of the op of `attention.py`."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ix.dialects.ix.reference_precision import Array, rounded, widened

__all__ = ["ATTENTION"]


def attention(
    operands: Sequence[Array], attributes: dict[str, Any], _: Any
) -> list[Array]:
    q, k, v = map(widened, operands[:3])
    share = q.shape[1] // max(k.shape[1], 1)
    k, v = np.repeat(k, share, axis=1), np.repeat(v, share, axis=1)
    with np.errstate(all="ignore"):
        scores = np.matmul(q, np.swapaxes(k, -1, -2)) * attributes["scale"]
        for mask in operands[3:]:
            if mask.dtype == np.bool_:
                scores = np.where(mask, scores, -np.inf)
            else:
                scores = scores + widened(mask)
        if attributes["causal"]:
            queries, keys = scores.shape[-2:]
            seen = np.tri(queries, keys, keys - queries, dtype=np.bool_)
            scores = np.where(seen, scores, -np.inf)
        greatest = scores.max(axis=-1, keepdims=True, initial=-np.inf)
        power = np.exp(scores - greatest)
        weights = power / power.sum(axis=-1, keepdims=True)
        weights = np.where(greatest == -np.inf, 0.0, weights)
        return [rounded(np.matmul(weights, v), operands[0].dtype)]


ATTENTION = {"ix.attention": attention}
"""Op name → (operands, attributes as Python values, result types) → results."""
