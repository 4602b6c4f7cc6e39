"""Fused ops of the domain com.microsoft that ONNX Runtime's optimisers write.

Source: onnxruntime/docs/ContribOperators.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ix.importer import builder as b
from ix.importer.onnx.node import Handler, Node, Unsupported
from ix.importer.onnx.ops_attention import heads_first, heads_last

__all__ = ["MICROSOFT"]


def _gelu(node: Node) -> Any:
    return b.gelu(node.input(0))


def _fast_gelu(node: Node) -> Any:
    return b.gelu(_biased(node), approximate="tanh")


def _bias_gelu(node: Node) -> Any:
    return b.gelu(_biased(node))


def _biased(node: Node) -> Any:
    return b.add(node.input(0), node.input(1)) if node.has(1) else node.input(0)


def _quick_gelu(node: Node) -> Any:
    x = node.input(0)
    return b.mul(x, b.sigmoid(b.mul(x, node.number("alpha", 1.702))))


def _layer_norm(node: Node) -> Any:
    if len([name for name in node.outputs if name]) > 1:
        raise Unsupported("gives its mean and deviation too")
    axis = node.axis("axis", -1, node.rank(0))
    scale, bias = node.input(1), node.optional(2)
    return b.layer_norm(node.input(0), scale, bias, axis, node.number("epsilon", 1e-5))


def _simplified_layer_norm(node: Node) -> Any:
    if len([name for name in node.outputs if name]) > 1:
        raise Unsupported("gives its deviation too")
    axis = node.axis("axis", -1, node.rank(0))
    return b.rms_norm(node.input(0), node.input(1), axis, node.number("epsilon", 1e-5))


def _skip_layer_norm(node: Node) -> Sequence[Any]:
    """Inputs: x, skip, scale, bias of the norm, bias of the sum."""
    total = b.add(node.input(0), node.input(1))
    if node.has(4):
        total = b.add(total, node.input(4))
    epsilon = node.number("epsilon", 1e-5)
    result = b.layer_norm(total, node.input(2), node.optional(3), -1, epsilon)
    return _with_sum(node, result, total)


def _skip_simplified_layer_norm(node: Node) -> Sequence[Any]:
    """Inputs: x, skip, scale, bias of the sum."""
    total = b.add(node.input(0), node.input(1))
    if node.has(3):
        total = b.add(total, node.input(3))
    epsilon = node.number("epsilon", 1e-5)
    return _with_sum(node, b.rms_norm(total, node.input(2), -1, epsilon), total)


def _with_sum(node: Node, result: Any, total: Any) -> Sequence[Any]:
    """Outputs: the result, mean and deviation (training only), the sum."""
    if any(node.outputs[1:3]):
        raise Unsupported("gives its mean and deviation too")
    return [result, None, None, total][: len(node.outputs)]


def _fused_matmul(node: Node) -> Any:
    """α · A · B with either transposed."""
    if node.flag("transBatchA") or node.flag("transBatchB"):
        raise Unsupported("transposes batch axes")
    left, right = node.input(0), node.input(1)
    if node.flag("transA") and node.rank(0) > 1:
        left = b.matrix_transpose(left)
    if node.flag("transB") and node.rank(1) > 1:
        right = b.matrix_transpose(right)
    product = b.matmul(left, right)
    alpha = node.number("alpha", 1.0)
    return product if alpha == 1.0 else b.mul(product, alpha)


def _embed_layer_norm(node: Node) -> Sequence[Any]:
    """Word, position and segment embeddings, summed and normalised.

    Inputs: ids, segments?, word, position, segment tables, scale, bias, mask?,
    position ids?
    """
    ids = node.input(0)
    total = b.embedding(ids, node.input(2))
    if node.has(8):
        positions = b.embedding(node.input(8), node.input(3))
    else:
        positions = b.slice_axis(node.input(3), 0, 0, node.shape(0)[1])
    total = b.add(total, positions)
    if node.has(1):
        total = b.add(total, b.embedding(node.input(1), node.input(4)))
    epsilon = node.number("epsilon", 1e-12)
    result = b.layer_norm(total, node.input(5), node.input(6), -1, epsilon)
    return [result, _mask_index(node), total][: len(node.outputs)]


def _mask_index(node: Node) -> Any | None:
    """The number of tokens that the mask keeps in each sequence."""
    if len(node.outputs) < 2 or not node.outputs[1]:
        return None
    if not node.has(7):
        return np.zeros(int(node.sizes(0)[0]), np.int32)
    return b.sum(node.input(7), [1], dtype=np.int32)


def _attention(node: Node) -> Any:
    """Self attention from one projection to q, k and v.

    Inputs: x, weight[in, 3 · hidden], bias?, mask (keeps nonzero keys)?
    """
    if node.has(4) or node.has(5) or len([n for n in node.outputs if n]) > 1:
        raise Unsupported("has a cache or a bias of the scores")
    if node.has_attribute("qkv_hidden_sizes") or node.flag("do_rotary"):
        raise Unsupported("has heads of unequal size or rotates them")
    heads = node.integer("num_heads")
    projected = b.matmul(node.input(0), node.input(1))
    if node.has(2):
        projected = b.add(projected, node.input(2))
    q, k, v = (heads_first(each, heads) for each in b.split(projected, 3, -1))
    scale = node.number("scale", 0.0) or None
    causal = node.flag("unidirectional")
    return heads_last(b.attention(q, k, v, _key_mask(node, 3), scale, causal))


def _key_mask(node: Node, index: int) -> Any | None:
    """A mask over keys, [batch, time] or [batch, queries, keys], as bool."""
    if not node.has(index):
        return None
    if node.rank(index) not in (2, 3):
        raise Unsupported(f"has a mask of rank {node.rank(index)}")
    keep = b.ne(node.input(index), 0)
    return b.expand_dims(keep, [1, 2] if node.rank(index) == 2 else [1])


def _multi_head_attention(node: Node) -> Any:
    """Attention of q, k and v, each [batch, time, hidden].

    Inputs: q, k, v, bias?, mask of keys?, bias of scores?
    """
    packed = not (node.has(1) and node.has(2)) or node.rank(1) != 3
    if packed or any(node.has(index) for index in (6, 7)) or any(node.outputs[1:]):
        raise Unsupported("has packed inputs or a cache")
    heads = node.integer("num_heads")
    tensors = [node.input(index) for index in range(3)]
    if node.has(3):
        sizes = [b.shape(each)[-1] for each in tensors]
        biases = b.split_sizes(node.input(3), sizes, 0)
        tensors = [b.add(x, bias) for x, bias in zip(tensors, biases, strict=True)]
    q, k, v = (heads_first(each, heads) for each in tensors)
    mask = _key_mask(node, 4)
    if node.has(5):
        if mask is not None:
            raise Unsupported("has both a mask and a bias of the scores")
        mask = node.input(5)
    scale = node.number("scale", 0.0) or None
    causal = node.flag("unidirectional")
    return heads_last(b.attention(q, k, v, mask, scale, causal))


MICROSOFT: dict[str, Handler] = {
    "Attention": _attention,
    "BiasGelu": _bias_gelu,
    "EmbedLayerNormalization": _embed_layer_norm,
    "FastGelu": _fast_gelu,
    "FusedMatMul": _fused_matmul,
    "Gelu": _gelu,
    "LayerNormalization": _layer_norm,
    "MultiHeadAttention": _multi_head_attention,
    "QuickGelu": _quick_gelu,
    "SimplifiedLayerNormalization": _simplified_layer_norm,
    "SkipLayerNormalization": _skip_layer_norm,
    "SkipSimplifiedLayerNormalization": _skip_simplified_layer_norm,
}
"""Op type → handler."""
