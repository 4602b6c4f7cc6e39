"""Dtypes: element types, promotion, and what is refused."""

from __future__ import annotations

import itertools
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from ix.dialects import context
from ix.errors import InputError
from ix.importer import promotion

NUMPY = [np.dtype(c) for c in ("f8", "f4", "f2", "i8", "i4", "i2", "i1", "u1", "?")]


@pytest.mark.parametrize("dtype", promotion.SUPPORTED, ids=str)
def test_element_types_round_trip(dtype: Any) -> None:
    with context():
        assert promotion.numpy_dtype(promotion.element_type(dtype)) == dtype


def test_pairs_promote_as_numpy() -> None:
    for pair in itertools.product(NUMPY, NUMPY):
        assert promotion.promote(pair) == np.result_type(*pair)


@pytest.mark.parametrize("number", [True, 2, 2.5])
def test_python_scalars_are_weak(number: Any) -> None:
    for dtype in NUMPY:
        expected = np.result_type(dtype, type(number)(1))
        assert promotion.promote([dtype], [type(number)]) == expected
    assert promotion.promote([], [type(number)]) == np.asarray(number).dtype


@pytest.mark.parametrize("name", ["bfloat16", "float8_e4m3fn", "float8_e5m2"])
def test_short_floats(name: str) -> None:
    short = np.dtype(getattr(ml_dtypes, name))
    assert promotion.promote([short], [float, int, bool]) == short
    assert promotion.promote([short, np.dtype("f4")]) == np.float32
    assert promotion.promote([short, np.dtype("?")]) == short
    assert promotion.float_dtype(short) == short
    assert promotion.is_float(short)


def test_short_floats_of_two_kinds_meet_in_a_wider_one() -> None:
    assert promotion.promote([promotion.BFLOAT16, promotion.FLOAT16]) == np.float32


def test_other_byte_orders_are_the_same_dtype() -> None:
    assert promotion.canonical_dtype(">f4") == np.dtype("f4")


@pytest.mark.parametrize("dtype", ["c8", "u4", "u8", "U3", "M8[s]", "O"])
def test_dtypes_that_ix_lacks_are_refused(dtype: str) -> None:
    with pytest.raises(
        InputError, match=r"'x' needs one of the dtypes float64.*but it has"
    ):
        promotion.canonical_dtype(dtype, "'x'")


def test_every_pair_of_dtypes_has_a_common_type() -> None:
    for pair in itertools.product(promotion.SUPPORTED, promotion.SUPPORTED):
        assert promotion.promote(pair) in promotion.SUPPORTED
