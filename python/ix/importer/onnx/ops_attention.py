"""Attention of the standard, as one `ix.attention` where its form allows it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ix.importer import builder as b
from ix.importer.dims import same
from ix.importer.onnx.node import Handler, Node
from ix.importer.onnx.ops_movement import positions

__all__ = ["ATTENTION", "heads_first", "heads_last"]


def heads_first(x: Any, heads: int) -> Any:
    """[batch, time, heads · size] → [batch, heads, time, size]."""
    batch, time, width = b.shape(x)
    return b.transpose(b.reshape(x, [batch, time, heads, width // heads]), [0, 2, 1, 3])


def heads_last(x: Any) -> Any:
    """[batch, heads, time, size] → [batch, time, heads · size]."""
    batch, heads, time, size = b.shape(x)
    return b.reshape(b.transpose(x, [0, 2, 1, 3]), [batch, time, heads * size])


def _attention(node: Node) -> Any:
    """Plain, grouped and causal attention with a mask and a cache.

    Other forms (soft caps, windows, padded caches, scores as an output) are what the
    standard's function body says.
    """
    if not _plain(node):
        return NotImplemented
    q, k, v = (node.input(index) for index in range(3))
    flat = node.rank(0) == 3
    if flat:
        groups = node.integer("kv_num_heads")
        q = heads_first(q, node.integer("q_num_heads"))
        k, v = heads_first(k, groups), heads_first(v, groups)
    if node.has(4):
        k = b.concat([node.input(4), k], 2)
        v = b.concat([node.input(5), v], 2)
    queries, keys = b.shape(q)[2], b.shape(k)[2]
    mask, causal = node.optional(3), node.flag("is_causal")
    if mask is not None and not same(b.shape(mask)[-1], keys):
        return NotImplemented
    if causal and not node.has(4) and not same(queries, keys):
        # Without a cache query i sees keys up to i, counted from the start.
        mask, causal = _with_triangle(mask, queries, keys), False
    scale = node.number("scale", 0.0) or None
    result = b.attention(q, k, v, mask, scale, causal)
    outputs: list[Any] = [heads_last(result) if flat else result, k, v]
    return outputs[: max(1, len(node.outputs))]


def _plain(node: Node) -> bool:
    """Whether the node has none of the forms that `ix.attention` lacks."""
    bounded = any(
        node.integer(name, -1) >= 0
        for name in ("left_window_size", "right_window_size")
    )
    scores = len(node.outputs) > 3 and bool(node.outputs[3])
    capped = node.number("softcap", 0.0) != 0
    wide = node.integer("softmax_precision", 1) not in (1, 11, 10, 16)
    kinds = {node.dtype(index) for index in range(3)}
    return not (bounded or scores or capped or wide or node.has(6) or len(kinds) > 1)


def _with_triangle(mask: Any, queries: Any, keys: Any) -> Any:
    """A mask that also hides keys after the query's own position."""
    row = b.expand_dims(positions(queries), 1)
    seen = b.le(positions(keys), row)
    if mask is None:
        return seen
    if b.dtype(mask) == np.bool_:
        return b.logical_and(mask, seen)
    hidden = np.asarray(-np.inf, np.float32).astype(b.dtype(mask))
    return b.select(seen, mask, hidden)


def _rotary_embedding(node: Node) -> Any:
    """Rotates pairs of features by the angle of their position."""
    x, rank = node.input(0), node.rank(0)
    if rank == 3:
        x = heads_first(x, node.integer("num_heads"))
    cosine, sine = node.input(1), node.input(2)
    if node.has(3):
        cosine, sine = (b.take(each, node.input(3), 0) for each in (cosine, sine))
    cosine, sine = b.expand_dims(cosine, 1), b.expand_dims(sine, 1)
    size = int(b.shape(x)[-1])
    turned = node.integer("rotary_embedding_dim", 0) or size
    rotated = rotate(
        b.slice_axis(x, 3, 0, turned), cosine, sine, node.flag("interleaved")
    )
    if turned < size:
        rotated = b.concat([rotated, b.slice_axis(x, 3, turned, size)], 3)
    return heads_last(rotated) if rank == 3 else rotated


def rotate(x: Any, cosine: Any, sine: Any, interleaved: bool) -> Any:
    """(a, b) → (a cos − b sin, a sin + b cos); pairs are halves or neighbours."""
    *lead, size = b.shape(x)
    if interleaved:
        pairs: Sequence[Any] = b.split(b.reshape(x, [*lead, size // 2, 2]), 2, -1)
        first, second = (b.squeeze(each, -1) for each in pairs)
    else:
        first, second = b.split(x, 2, -1)
    real = b.sub(b.mul(cosine, first), b.mul(sine, second))
    imaginary = b.add(b.mul(sine, first), b.mul(cosine, second))
    if interleaved:
        return b.reshape(b.stack([real, imaginary], -1), [*lead, size])
    return b.concat([real, imaginary], -1)


ATTENTION: dict[str, Handler] = {
    "Attention": _attention,
    "RotaryEmbedding": _rotary_embedding,
}
"""Op type → handler."""
