"""Reason codes of fusion decisions, and what they say."""

__all__ = ["REASONS"]

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
