"""Einstein summation, pair by pair, through `dot_general`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ix.errors import InputError
from ix.importer.builder import elementwise as e
from ix.importer.builder.contraction import dot_general
from ix.importer.builder.indexing import take_along_axis
from ix.importer.builder.movement import (
    broadcast_to,
    expand_dims,
    reshape,
    squeeze,
    transpose,
)
from ix.importer.builder.reduction import sum
from ix.importer.builder.values import promoted, rank, shape
from ix.importer.dims import bounds, same

__all__ = ["einsum"]


def einsum(equation: str, *operands: Any) -> Any:
    """Sums products of operands over the labels that the result does not have.

    Args:
        equation: For example "bhqd,bhkd->bhqk"; an ellipsis stands for leading axes.

    Raises:
        InputError: The equation does not fit the operands.
    """
    labels, result = _parse(equation, [rank(each) for each in operands])
    values, _ = promoted("einsum", *operands)
    terms = [_diagonal(v, each) for v, each in zip(values, labels, strict=True)]
    _require_equal_sizes(equation, terms)
    while len(terms) > 1:
        a, b = _next_pair(terms)
        kept = set(result).union(
            *(text for at, (_, text) in enumerate(terms) if at not in (a, b))
        )
        joined = _contract(terms[a], terms[b], kept)
        terms = [each for at, each in enumerate(terms) if at not in (a, b)]
        terms.append(joined)
    value, text = _sum_out(terms[0], set(result))
    return transpose(value, [text.index(label) for label in result])


Term = tuple[Any, str]


def _parse(equation: str, ranks: Sequence[int]) -> tuple[list[str], str]:
    """Labels of each operand and of the result; an ellipsis becomes capital letters
    that the equation does not use."""
    text = equation.replace(" ", "")
    left, arrow, result = text.partition("->")
    inputs = left.split(",")
    if len(inputs) != len(ranks):
        raise InputError(
            f"'einsum' needs {len(inputs)} operands for {equation!r}, but got "
            f"{len(ranks)}"
        )
    spare = [chr(code) for code in range(ord("A"), 0x250) if chr(code).isalpha()]
    spare = [each for each in spare if each not in text]
    widths = [
        count - len(each.replace("...", ""))
        for each, count in zip(inputs, ranks, strict=True)
    ]
    widest = max(
        [w for w, each in zip(widths, inputs, strict=True) if "..." in each], default=0
    )
    stand_in = "".join(spare[:widest])
    for each, width in zip(inputs, widths, strict=True):
        if width < 0 or (width and "..." not in each):
            raise InputError(
                f"'einsum' needs as many labels as axes, but {each!r} of {equation!r} "
                f"stands for rank {width + len(each.replace('...', ''))}"
            )
    labels = [
        each.replace("...", stand_in[widest - width :] if width else "")
        for each, width in zip(inputs, widths, strict=True)
    ]
    if not arrow:
        once = sorted(c for c in set(left) - set(",.") if left.count(c) == 1)
        return labels, stand_in + "".join(once)
    result = result.replace("...", stand_in)
    unknown = set(result) - set("".join(labels))
    if unknown or len(set(result)) != len(result):
        raise InputError(
            f"'einsum' needs distinct result labels that operands have, in {equation!r}"
        )
    return labels, result


def _require_equal_sizes(equation: str, terms: Sequence[Term]) -> None:
    sizes: dict[str, Any] = {}
    for value, text in terms:
        for label, each in zip(text, shape(value), strict=True):
            known = sizes.setdefault(label, each)
            both = isinstance(known, int) and isinstance(each, int)
            if both and 1 not in (known, each) and known != each:
                raise InputError(
                    f"'einsum' needs one size for label {label!r} of {equation!r}, "
                    f"but got {known} and {each}"
                )
            if same(known, 1):
                sizes[label] = each


def _diagonal(value: Any, text: str) -> Term:
    """Takes the diagonal of axes that share a label."""
    for label in dict.fromkeys(text):
        while text.count(label) > 1:
            first, second = text.index(label), text.rindex(label)
            amount = shape(value)[first]
            sizes = [1] * rank(value)
            sizes[first] = amount
            places = reshape(np.arange(amount), sizes)
            value = squeeze(take_along_axis(value, places, second), second)
            text = text[:second] + text[second + 1 :]
    return value, text


def _next_pair(terms: Sequence[Term]) -> tuple[int, int]:
    """The pair whose product is smallest, by the upper bounds of its sizes."""
    best: tuple[float, int, int] | None = None
    for a in range(len(terms)):
        for b in range(a + 1, len(terms)):
            sizes = {
                label: bounds(each)[1]
                for value, text in (terms[a], terms[b])
                for label, each in zip(text, shape(value), strict=True)
            }
            cost = float(np.prod(list(sizes.values()), dtype=np.float64))
            if best is None or cost < best[0]:
                best = (cost, a, b)
    assert best is not None
    return best[1], best[2]


def _sum_out(term: Term, kept: set[str]) -> Term:
    value, text = term
    axes = [at for at, label in enumerate(text) if label not in kept]
    if not axes:
        return term
    # Unlike `sum`, einsum keeps the dtype of narrow integers.
    from ix.importer.builder.values import dtype

    total = sum(value, axes, dtype=dtype(value))
    return total, "".join(label for label in text if label in kept)


def _contract(left: Term, right: Term, kept: set[str]) -> Term:
    """One product of two terms; labels not in `kept` are summed over."""
    (a, labels_a), (b, labels_b) = (
        _sum_out(left, kept | set(right[1])),
        _sum_out(right, kept | set(left[1])),
    )
    shared = [label for label in labels_a if label in labels_b]
    stretched = [
        label
        for label in shared
        if same(shape(a)[labels_a.index(label)], 1)
        != same(shape(b)[labels_b.index(label)], 1)
    ]
    if stretched:
        return _contract(
            _stretch((a, labels_a), (b, labels_b), stretched),
            _stretch((b, labels_b), (a, labels_a), stretched),
            kept,
        )
    batch = [label for label in shared if label in kept]
    summed = [label for label in shared if label not in kept]
    free = [x for x in labels_a + labels_b if x not in shared]
    text = "".join(batch + free)
    if not summed:
        return _multiply((a, labels_a), (b, labels_b), text), text
    return (
        dot_general(
            a,
            b,
            [labels_a.index(label) for label in batch],
            [labels_b.index(label) for label in batch],
            [labels_a.index(label) for label in summed],
            [labels_b.index(label) for label in summed],
        ),
        text,
    )


def _stretch(term: Term, other: Term, labels: Sequence[str]) -> Term:
    """Broadcasts axes of size 1 to the sizes that the other term has there."""
    value, text = term
    sizes = list(shape(value))
    for label in labels:
        if same(sizes[text.index(label)], 1):
            sizes[text.index(label)] = shape(other[0])[other[1].index(label)]
    return broadcast_to(value, sizes), text


def _multiply(left: Term, right: Term, text: str) -> Any:
    """The elementwise product, with axes ordered as `text`."""
    aligned = []
    for value, labels in (left, right):
        present = [label for label in text if label in labels]
        value = transpose(value, [labels.index(label) for label in present])
        missing = [at for at, label in enumerate(text) if label not in labels]
        aligned.append(expand_dims(value, missing) if missing else value)
    return e.mul(*aligned)
