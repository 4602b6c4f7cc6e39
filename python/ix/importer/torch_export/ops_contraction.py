"""Matrix products, convolutions and attention."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ix.importer import builder as b
from ix.importer.dims import same
from ix.importer.torch_export.call import Call, Handler, NotSupported

__all__ = ["CONTRACTION"]


def _matmul(call: Call, x: Any, y: Any, *args: Any) -> Any:
    return b.matmul(x, y)


def _linear(call: Call, x: Any, weight: Any, bias: Any = None) -> Any:
    return b.linear(x, weight, bias)


def _plus_product(
    call: Call, x: Any, a: Any, c: Any, beta: Any = 1, alpha: Any = 1
) -> Any:
    """β · x + α · a · c: addmm, addmv, baddbmm."""
    product = b.matmul(a, c)
    if alpha != 1:
        product = b.mul(product, call.to(alpha))
    if beta == 0:
        return product
    return b.add(x if beta == 1 else b.mul(x, call.to(beta)), product)


def _plus_sum_of_products(
    call: Call, x: Any, a: Any, c: Any, beta: Any = 1, alpha: Any = 1
) -> Any:
    """β · x + α · Σ a[i] · c[i]."""
    product = b.sum(b.matmul(a, c), [0])
    if alpha != 1:
        product = b.mul(product, call.to(alpha))
    return product if beta == 0 else b.add(b.mul(x, call.to(beta)), product)


def _trilinear(
    call: Call,
    i1: Any,
    i2: Any,
    i3: Any,
    expand1: Sequence[int],
    expand2: Sequence[int],
    expand3: Sequence[int],
    sumdim: Sequence[int],
    unroll_dim: int = 1,
) -> Any:
    """Σ over `sumdim` of three factors, each with new axes at its `expand`."""
    factors = [
        b.expand_dims(each, list(axes)) if axes else each
        for each, axes in ((i1, expand1), (i2, expand2), (i3, expand3))
    ]
    product = b.mul(b.mul(factors[0], factors[1]), factors[2])
    return b.sum(product, list(sumdim)) if sumdim else product


def _distances(call: Call, x1: Any, x2: Any, p: float, compute_mode: Any = None) -> Any:
    """The p-norms of the differences of all pairs of rows."""
    if p not in (1.0, 2.0):
        raise NotSupported(f"the norm p = {p}")
    difference = b.sub(
        b.expand_dims(x1, b.rank(x1) - 1), b.expand_dims(x2, b.rank(x2) - 2)
    )
    if p == 1.0:
        return b.sum(b.abs(difference), [-1])
    return b.sqrt(b.sum(b.square(difference), [-1]))


def _grouped_product(
    call: Call,
    x: Any,
    weights: Any,
    offs: Any = None,
    bias: Any = None,
    out_dtype: Any = None,
) -> Any:
    """x[r, k] · weights[g, k, n], row r in the first group whose end is beyond it.

    Each row is multiplied with the matrices of all groups, and one result kept.
    """
    if b.rank(x) != 2 or b.rank(weights) != 3 or offs is None or bias is not None:
        raise NotSupported("groups other than of the rows of a matrix")
    rows = b.expand_dims(b.arange(b.shape(x)[0]), 1)
    limits = b.cast(offs, np.int64)
    group = b.sum(b.le(b.expand_dims(limits, 0), rows), [1])
    products = b.matmul(b.expand_dims(x, 0), weights)
    places = b.expand_dims(b.expand_dims(group, 0), 2)
    return b.squeeze(b.take_along_axis(products, places, 0), 0)


def _einsum(
    call: Call, equation: str, operands: Sequence[Any], path: Any = None
) -> Any:
    return b.einsum(equation, *operands)


def _tensordot(
    call: Call, x: Any, y: Any, dims_self: Sequence[int], dims_other: Sequence[int]
) -> Any:
    return b.tensordot(x, y, (list(dims_self), list(dims_other)))


def _outer(call: Call, x: Any, y: Any) -> Any:
    return b.outer(call.to(x), call.to(y))


def _batched(count: int, x: Any) -> tuple[Any, bool]:
    """x with a batch axis, and whether it had none."""
    if b.rank(x) == count + 2:
        return x, False
    return b.expand_dims(x, 0), True


def _conv(spatial: int) -> Handler:
    def handler(
        call: Call,
        x: Any,
        weight: Any,
        bias: Any = None,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
    ) -> Any:
        value, single = _batched(spatial, x)
        low, high = _paddings(padding, weight, dilation, spatial)
        result = b.conv(value, weight, bias, stride, low, high, dilation, groups)
        return b.squeeze(result, 0) if single else result

    return handler


def _paddings(padding: Any, weight: Any, dilation: Any, spatial: int) -> Any:
    """Padding at the low and high ends; "same" puts the odd one at the high end."""
    if padding == "valid":
        return 0, 0
    if padding != "same":
        return padding, padding
    steps = list(dilation) if isinstance(dilation, list | tuple) else [dilation]
    steps = steps * spatial if len(steps) == 1 else steps
    kernel = b.shape(weight)[2:]
    total = [step * (k - 1) for step, k in zip(steps, kernel, strict=True)]
    low = [each // 2 for each in total]
    return low, [each - start for each, start in zip(total, low, strict=True)]


def _conv_transpose(spatial: int) -> Handler:
    def handler(
        call: Call,
        x: Any,
        weight: Any,
        bias: Any = None,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        dilation: Any = 1,
    ) -> Any:
        value, single = _batched(spatial, x)
        result = b.conv_transpose(
            value,
            weight,
            bias,
            stride,
            padding,
            padding,
            output_padding,
            dilation,
            groups,
        )
        return b.squeeze(result, 0) if single else result

    return handler


def _convolution(
    call: Call,
    x: Any,
    weight: Any,
    bias: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    transposed: bool,
    output_padding: Any,
    groups: int,
    *flags: bool,
) -> Any:
    spatial = b.rank(weight) - 2
    if transposed:
        return _conv_transpose(spatial)(
            call, x, weight, bias, stride, padding, output_padding, groups, dilation
        )
    return _conv(spatial)(call, x, weight, bias, stride, padding, dilation, groups)


def _attention(
    call: Call,
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Any:
    """torch's causal mask starts at the first key, ix's ends at the last one."""
    if dropout_p:
        raise NotSupported("dropout; call .eval() on the module")
    lead = b.shape(query)[:-3]
    q, k, v = (_four(each) for each in (query, key, value))
    mask = None if attn_mask is None else _mask(attn_mask)
    rows, columns = b.shape(q)[2], b.shape(k)[2]
    if is_causal and not same(rows, columns):
        triangle = b.tri(rows, columns, dtype=np.bool_)
        mask = triangle if mask is None else _with_triangle(mask, triangle)
        is_causal = False
    result = b.attention(q, k, v, mask, scale, is_causal)
    if b.rank(query) == 4:
        return result
    heads = [] if b.rank(query) == 2 else [b.shape(query)[-3]]
    return b.reshape(result, [*lead, *heads, *b.shape(result)[2:]])


def _four(x: Any) -> Any:
    """[…, s, d] as [batch, heads, s, d]."""
    sizes = list(b.shape(x))
    if len(sizes) == 4:
        return x
    if len(sizes) < 4:
        return b.reshape(x, [1] * (4 - len(sizes)) + sizes)
    return b.reshape(x, [-1, *sizes[-3:]])


def _mask(mask: Any) -> Any:
    return mask if b.rank(mask) <= 4 else _four(mask)


def _with_triangle(mask: Any, triangle: Any) -> Any:
    if b.dtype(mask) == np.bool_:
        return b.logical_and(mask, triangle)
    lowest = np.asarray(-np.inf).astype(b.dtype(mask))
    return b.select(triangle, mask, lowest)


def _flash_attention(
    call: Call,
    query: Any,
    key: Any,
    value: Any,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    attn_mask: Any = None,
    scale: float | None = None,
) -> Any:
    """The CPU kernel's form; its log-sum-exp serves only the backward pass."""
    result = _attention(call, query, key, value, attn_mask, dropout_p, is_causal, scale)
    return result, None


def _math_attention(
    call: Call,
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    dropout_mask: Any = None,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Any:
    result = _attention(call, query, key, value, attn_mask, dropout_p, is_causal, scale)
    return result, None


def _names(text: str, handler: Handler) -> dict[str, Handler]:
    return {f"aten.{name}": handler for name in text.split()}


CONTRACTION: dict[str, Handler] = {
    **_names("mm.default bmm.default matmul.default mv.default dot.default", _matmul),
    "aten.linear.default": _linear,
    **_names("addmm.default addmv.default baddbmm.default", _plus_product),
    "aten.addbmm.default": _plus_sum_of_products,
    "aten._trilinear.default": _trilinear,
    "aten._cdist_forward.default": _distances,
    "aten._grouped_mm.default": _grouped_product,
    # The custom op of transformers where torch has no grouped product.
    "transformers.grouped_mm_fallback.default": _grouped_product,
    "aten.einsum.default": _einsum,
    "aten.tensordot.default": _tensordot,
    **_names("outer.default ger.default", _outer),
    "aten.inner.default": lambda call, x, y: b.inner(x, y),
    "aten.kron.default": lambda call, x, y: b.kron(x, y),
    "aten.linalg_vecdot.default": lambda call, x, y, dim=-1: b.vecdot(x, y, dim),
    "aten.convolution.default": _convolution,
    "aten._convolution.default": _convolution,
    **_names("conv1d.default conv1d.padding", _conv(1)),
    **_names("conv2d.default conv2d.padding", _conv(2)),
    **_names("conv3d.default conv3d.padding", _conv(3)),
    "aten.conv_transpose1d.default": _conv_transpose(1),
    "aten.conv_transpose2d.input": _conv_transpose(2),
    "aten.conv_transpose3d.input": _conv_transpose(3),
    "aten.scaled_dot_product_attention.default": _attention,
    "aten._scaled_dot_product_flash_attention_for_cpu.default": _flash_attention,
    "aten._scaled_dot_product_attention_math.default": _math_attention,
}
