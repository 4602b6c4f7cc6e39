"""Codes of what the compiler decided, and what they say."""

__all__ = ["DECLINED", "REASONS"]

REASONS = {
    "same-point": "reads the producer at the point that it computes: no trip to memory",
    "same-row": "reduces or reuses rows that the kernel holds: the row is read once",
    "inlined-view": "only moves data: the reader computes the address instead",
    "inlined-once": "is read once: the reader computes it instead of loading it",
    "other-domain": "iterates over another space than the producer's kernel",
    "other-rows": "reduces other axes than the producer's kernel",
    "not-trailing": "reduces axes that are not the last: its rows end sooner",
    "cycle": "another operand needs a result of the producer's kernel first",
    "two-anchors": "is a contraction or special op; a kernel holds one",
    "reduction-of-product": "a contraction's kernel sees a tile, not a whole row",
    "whole-result": "reads an op that gives its result as a whole, not point by point",
    "read-often": "is read more than once and costs more than a load",
    "full-kernel": "the kernel has as many ops as a kernel may have",
    "returned": "is a result of the program",
    "reshaped": "is read through a reshape, which names memory",
    "permuted-lanes": "moves the last axis: the producer's vectors would be scattered",
}
"""Code → the sentence that `ix explain` prints; the grouping of kernels gives them."""

DECLINED = {
    # Of operands and element types.
    "not-constant": "needs a constant that can be packed ahead, but reads none",
    "other-elements": "takes other element types than these",
    "other-padding": "takes zeros around the windows, but the padding is another",
    "along-depth": "needs a right operand along columns, but it is along the depth",
    "across-depth": "needs a left operand along the depth, but it is across it",
    # Of sizes.
    "may-be-empty": "needs something to reduce, but the size may be 0",
    "dynamic-depth": "needs a depth that is known, but it is dynamic",
    "dynamic-image": "needs an image of known size, but it is dynamic",
    "few-rows": "has too few rows, or may have: reading weights takes the time",
    "many-rows": "has more than 16 rows: several tiles read each weight anyway",
    "short-depth": "pays with a greater depth, but there is too little to share",
    "short-row": "pays with longer rows, but these have too few elements to share",
    "short-axis": "needs longer axes: of one so short, most of a tile would be empty",
    "short-line": "pays with longer lines: one thread takes these alone",
    "long-row": "needs shorter rows: these do not fit the memory that would keep them",
    "long-line": "needs shorter lines: these do not fit a block's shared memory",
    "wide-heads": "needs narrower heads: a tile of these does not fit shared memory",
    "few-neighbours": "needs more lines side by side: threads would read far apart",
    "many-updates": "takes fewer updates: every thread looks at all of them",
    "partial-vectors": "needs rows of whole vectors, but their size is another",
    "scattered-vectors": "needs whole vectors, but an operand lies in pieces",
    "much-scratch": "needs less scratch: the keys of all lines would take over 1 GiB",
    "many-counters": "needs fewer tiles or parts: a launch has no counter for each",
    # Of the target, and of the work as a whole.
    "no-matrix-tiles": "needs a target with matrix tiles of bfloat16 and with AVX-512",
    "tiles-not-full": "pays on full tiles, but channels and taps do not fill them",
    "enough-blocks": "pays where a GPU would idle, but there are blocks enough without",
    "several-sweeps": "takes one sweep with one result for each row; there is more",
    "no-online-pair": "takes two reductions that one sweep can update, but not these",
    # Of a product and the rows made of its result.
    "batched": "takes one product, but this is a batch of them",
    "several-outputs": "takes a product that gives one result, but it gives several",
    "not-its-rows": "takes rows of the product as they are, but these are others",
    "other-sizes": "needs both launches to have the same dynamic sizes",
    "read-between": "needs no launch between both that reads the product",
}
"""Code → the sentence that `ix explain` prints after the name of a rule, or of a way of
one, that did not make a kernel; the rules give them."""
