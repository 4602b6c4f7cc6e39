"""ix-recognize-linear: general contractions that are matrix products as matmul.

dot_general(a[…, k], b[k, n])             →  matmul(a, b)
dot_general(a[…, k], b[n, k])             →  matmul(a, b) {transpose_b}
dot_general(a[g…, m, k], b[g…, k, n])     →  matmul(a, b), with transposes as flags
dot_general(a[…, h, d], b[h, d, n, e])    →  reshape(matmul(reshape(a), reshape(b)))

The summed axes are the last of a and, in the same order, the first or last of b; where
there are several of them, or several of b remain, their sizes are static. Other
contractions stay: they would need a transpose.
"""

from __future__ import annotations

import math

from ix.dialects import ix
from ix.mlir import DYNAMIC, ir
from ix.passes.framework import pattern, rewrite_pass
from ix.passes.graph.matching import sizes_of


@pattern(ix.DotGeneralOp)
def recognize_batched(op: ix.DotGeneralOp) -> ir.Value | None:
    batch = list(range(len(op.batch_a)))
    rank = len(batch) + 2
    if op.batch_a != batch or op.batch_b != batch or len(op.contract_a) != 1:
        return None
    if op.a.type.rank != rank or op.b.type.rank != rank:
        return None
    return ix.MatmulOp.build(
        op.a,
        op.b,
        transpose_a=op.contract_a == [rank - 2],
        transpose_b=op.contract_b == [rank - 1],
        element_type=op.result.type.element_type,
    )


@pattern(ix.DotGeneralOp)
def recognize_projection(op: ix.DotGeneralOp) -> ir.Value | None:
    count, rank_a, rank_b = len(op.contract_a), op.a.type.rank, op.b.type.rank
    free_b = rank_b - count
    last_a, last_b = range(rank_a - count, rank_a), range(free_b, rank_b)
    is_last = op.contract_b == list(last_b)
    if op.batch_a or not count or rank_a == count or not free_b:
        return None
    if op.contract_a != list(last_a) or not (
        is_last or op.contract_b == list(range(count))
    ):
        return None
    shape = list(op.b.type.shape)
    kept, summed = (
        shape[:free_b] if is_last else shape[count:],
        [shape[axis] for axis in op.contract_b],
    )
    if (count > 1 or free_b > 1) and DYNAMIC in shape:
        return None
    a, b = op.a, op.b
    if count > 1:
        a = ix.ReshapeOp.build(a, [*sizes_of(a)[:-count], math.prod(summed)])
    if count > 1 or free_b > 1:
        sides = [math.prod(summed), math.prod(kept)]
        b = ix.ReshapeOp.build(b, sides[::-1] if is_last else sides)
    element = op.result.type.element_type
    product = ix.MatmulOp.build(a, b, transpose_b=is_last, element_type=element)
    if free_b == 1:
        return product
    return ix.ReshapeOp.build(product, [*sizes_of(product)[:-1], *kept])


recognize_linear = rewrite_pass(
    "ix-recognize-linear", [recognize_batched, recognize_projection]
)
