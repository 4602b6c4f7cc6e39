"""`Tracer`: what stands for an array while a function is traced.

It behaves as the NumPy array of that shape and dtype; each operation emits ix ops.
Where NumPy needs the elements themselves (`if x:`, `float(x)`), it raises `InputError`
with the remedy.

Assignment is functional: `x[i] = v` and `x += v` give the tracer a new value. NumPy's
views share memory, tracers do not. So a view that is written also writes the array it
was taken from, and all tracers that would share memory share a version: reading one
that missed a write raises, rather than giving old elements.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import numpy as np

from ix.errors import InputError
from ix.importer import builder as b
from ix.importer import dims
from ix.importer.builder.values import all_same, weak_type
from ix.importer.dims import DimExpr
from ix.importer.program import Module, current_module
from ix.mlir import ir

__all__ = ["Tracer", "strongly_wrapped", "unwrapped", "wrapped"]


def wrapped(result: Any) -> Any:
    """Values as tracers, inside of lists and tuples too."""
    if isinstance(result, ir.Value):
        return Tracer(result)
    if type(result) in (list, tuple):
        return type(result)(wrapped(each) for each in result)
    return result


def strongly_wrapped(result: Any) -> Any:
    """Values as tracers that are no Python scalars: NumPy functions give arrays.

    `np.sqrt(2) * x` is of float64 for a float32 array x, unlike `2**0.5 * x`.
    """
    if isinstance(result, ir.Value) and weak_type(result) is not None:
        return Tracer(b.cast(result, b.dtype(result)))
    if type(result) in (list, tuple):
        return type(result)(strongly_wrapped(each) for each in result)
    return wrapped(result)


def unwrapped(operand: Any) -> Any:
    """Tracers as Values, inside of lists, tuples and dicts too."""
    if isinstance(operand, Tracer):
        return operand.value
    if type(operand) in (list, tuple):
        return type(operand)(unwrapped(each) for each in operand)
    if type(operand) is dict:
        return {key: unwrapped(each) for key, each in operand.items()}
    return operand


_OPERANDS = (np.ndarray, np.generic, bool, int, float, list, tuple, DimExpr)


def _operators(function: Callable[[Any, Any], Any]) -> tuple[Any, Any, Any]:
    """The operator, its reflected and its in-place form."""

    def forward(self: Tracer, other: Any) -> Any:
        if not isinstance(other, (Tracer, *_OPERANDS)):
            return NotImplemented
        return wrapped(function(self.value, unwrapped(other)))

    def reflected(self: Tracer, other: Any) -> Any:
        if not isinstance(other, (Tracer, *_OPERANDS)):
            return NotImplemented
        return wrapped(function(unwrapped(other), self.value))

    def in_place(self: Tracer, other: Any) -> Any:
        if not isinstance(other, (Tracer, *_OPERANDS)):
            return NotImplemented
        result = function(self.value, unwrapped(other))
        if self.ndim == 0:  # NumPy's scalars are immutable: the name is bound anew
            return Tracer(result)
        self.assign(result)
        return self

    return forward, reflected, in_place


def _comparison(function: Callable[[Any, Any], Any]) -> Any:
    def compare(self: Tracer, other: Any) -> Any:
        if not isinstance(other, (Tracer, *_OPERANDS)):
            return NotImplemented
        return wrapped(function(self.value, unwrapped(other)))

    return compare


class Tracer:
    """Stands for an array of known shape and dtype whose elements are not known yet.

    Args:
        value: The MLIR Value.
        shares: The tracer that this one is a NumPy view of.
        write_back: From the view's new Value to that of `shares`, if it is known.
    """

    __slots__ = ("_base", "_memory", "_module", "_seen", "_value", "_write_back")

    __array_priority__ = 1000
    __hash__: Any = None

    def __init__(
        self,
        value: Any,
        shares: Tracer | None = None,
        write_back: Callable[[Any], Any] | None = None,
    ) -> None:
        self._value = value
        self._base, self._write_back = shares, write_back
        self._module: Module = current_module()
        self._memory = [0]
        self._seen = 0
        if shares is not None:
            self.share(shares)

    def share(self, source: Tracer) -> None:
        """Makes this tracer a NumPy view of `source`."""
        self._memory, self._seen = source._memory, source._memory[0]

    @property
    def value(self) -> Any:
        """The Value that holds the elements now.

        Raises:
            InputError: The trace is over, or the memory was written through another
                view.
        """
        if current_module() is not self._module:
            raise InputError(
                "an array needs to be used inside of the function that is traced, but "
                "this one was kept from another trace; return it as a result"
            )
        if self._seen != self._memory[0]:
            raise InputError(
                "an array needs its own elements, but its memory was written through "
                "another view after this one was made; take a copy() before writing"
            )
        return self._value

    def assign(self, value: Any) -> None:
        """Takes the elements of `value`, as NumPy's in-place operations do.

        Raises:
            InputError: The shape changes, or the dtype is not castable in kind.
        """
        if not all_same(b.shape(value), self.shape):
            raise InputError(
                f"an in-place operation needs a result of the array's shape "
                f"{self.shape}, but it has {b.shape(value)}; write `x = x + y`"
            )
        found = b.dtype(value)
        if not _same_kind(found, self.dtype) and weak_type(value) is None:
            raise InputError(
                f"an in-place operation needs a result that casts to {self.dtype} in "
                f"kind, but it is {found}; write `x = x + y`, or use astype"
            )
        self.overwrite(b.cast(value, self.dtype))

    def overwrite(self, value: Any) -> None:
        """Replaces the Value, and those of the arrays that this one is a view of.

        Other views of the same memory become stale.
        """
        _ = self.value
        self._memory[0] += 1
        self._refresh(value)

    def _refresh(self, value: Any) -> None:
        self._seen = self._memory[0]
        self._value = value
        if self._base is not None and self._write_back is not None:
            self._base._refresh(self._write_back(value))

    @property
    def shape(self) -> tuple[Any, ...]:
        """The sizes: ints, and a `DimExpr` for each dynamic one."""
        return self._module.shape(self._value)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The NumPy dtype."""
        return b.dtype(self._value)

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return b.rank(self._value)

    @property
    def size(self) -> Any:
        """The number of elements: an int, or a `DimExpr`."""
        return dims.product(self.shape)

    @property
    def itemsize(self) -> int:
        """Bytes of one element."""
        return self.dtype.itemsize

    @property
    def nbytes(self) -> Any:
        """Bytes of all elements."""
        return self.size * self.itemsize

    __add__, __radd__, __iadd__ = _operators(b.add)
    __sub__, __rsub__, __isub__ = _operators(b.sub)
    __mul__, __rmul__, __imul__ = _operators(b.mul)
    __truediv__, __rtruediv__, __itruediv__ = _operators(b.true_divide)
    __floordiv__, __rfloordiv__, __ifloordiv__ = _operators(b.floor_div)
    __mod__, __rmod__, __imod__ = _operators(b.mod)
    __pow__, __rpow__, __ipow__ = _operators(b.pow)
    __matmul__, __rmatmul__, __imatmul__ = _operators(b.matmul)
    __and__, __rand__, __iand__ = _operators(b.bitwise_and)
    __or__, __ror__, __ior__ = _operators(b.bitwise_or)
    __xor__, __rxor__, __ixor__ = _operators(b.bitwise_xor)
    __lshift__, __rlshift__, __ilshift__ = _operators(b.shift_left)
    __rshift__, __rrshift__, __irshift__ = _operators(b.shift_right)
    __divmod__, __rdivmod__, _ = _operators(b.divmod)
    __eq__ = _comparison(b.eq)
    __ne__ = _comparison(b.ne)
    __lt__ = _comparison(b.lt)
    __le__ = _comparison(b.le)
    __gt__ = _comparison(b.gt)
    __ge__ = _comparison(b.ge)

    def __neg__(self) -> Tracer:
        return Tracer(b.neg(self.value))

    def __pos__(self) -> Tracer:
        return Tracer(self.value)

    def __abs__(self) -> Tracer:
        return Tracer(b.abs(self.value))

    def __invert__(self) -> Tracer:
        return Tracer(b.bitwise_not(self.value))

    def __array_ufunc__(
        self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any
    ) -> Any:
        from ix.importer.trace.ufuncs import apply_ufunc

        return apply_ufunc(ufunc, method, inputs, kwargs)

    def __array_function__(
        self, function: Any, types: Any, args: Any, kwargs: Any
    ) -> Any:
        from ix.importer.trace.dispatch import apply_function

        return apply_function(function, args, kwargs)

    def __getitem__(self, index: Any) -> Tracer:
        whole, entries = self.value, unwrapped(index)
        result = b.getitem(whole, entries)
        if not _is_view(index) or not b.rank(result):
            return Tracer(result)
        return Tracer(result, self, lambda part: b.setitem(whole, entries, part))

    def __setitem__(self, index: Any, update: Any) -> None:
        self.overwrite(b.setitem(self.value, unwrapped(index), unwrapped(update)))

    def __len__(self) -> int:
        if not self.ndim:
            raise TypeError("len() of a scalar array")
        return self.shape[0].__index__()

    def __iter__(self) -> Iterator[Tracer]:
        if not self.ndim:
            raise TypeError("iteration over a scalar array")
        count = self.shape[0]
        if isinstance(count, DimExpr):
            raise InputError(
                "a loop over an array needs a known number of rows, but axis 0 has "
                f"size {count}; write the loop as whole-array operations, or leave the "
                "dimension static"
            )
        return iter([self[row] for row in range(count)])

    def __bool__(self) -> NoReturn:
        self._refuse(
            "a Python bool (if, while, and, or, not, assert)",
            "choose with np.where, combine with & | ~, or make the argument static "
            "with static_argnames",
        )

    def __int__(self) -> NoReturn:
        self._refuse("a Python int", "use astype, or make the argument static")

    def __float__(self) -> NoReturn:
        self._refuse("a Python float", "use astype, or make the argument static")

    def __complex__(self) -> NoReturn:
        self._refuse("a Python complex", "ix has no complex dtypes")

    def __index__(self) -> NoReturn:
        self._refuse(
            "a Python int (a size, a range, an axis or a list index)",
            "make the argument static with static_argnames; np.take selects rows by a "
            "computed index",
        )

    def __contains__(self, item: Any) -> NoReturn:
        self._refuse("a Python bool (in)", "use (x == item).any() with np.where")

    def __array__(self, *args: Any, **kwargs: Any) -> NoReturn:
        self._refuse(
            "an actual NumPy array",
            "leave out np.asarray and np.array (np.stack joins several), create arrays "
            "to assign into with like=x, and use NumPy functions that ix supports",
        )

    def __dlpack__(self, *args: Any, **kwargs: Any) -> NoReturn:
        self._refuse("an actual array (DLPack)", "use NumPy functions")

    def _refuse(self, needed: str, remedy: str) -> NoReturn:
        raise InputError(
            f"{needed} is needed here, but this array of shape "
            f"{self.shape} and dtype {self.dtype} is only known when the program runs; "
            f"{remedy}"
        )

    def __getattr__(self, name: str) -> Any:
        from ix.importer.trace.methods import METHODS, PROPERTIES

        if name in PROPERTIES:
            return PROPERTIES[name](self)
        if name in METHODS:
            return METHODS[name].__get__(self)
        raise AttributeError(
            f"an array that is traced has no attribute {name!r}"
            + ("; ix does not support it" if hasattr(np.ndarray, name) else "")
        )

    def __copy__(self) -> Tracer:
        return Tracer(self.value)

    def __deepcopy__(self, memo: Any) -> Tracer:
        return Tracer(self.value)

    def __repr__(self) -> str:
        return f"Tracer(shape={self.shape}, dtype={self.dtype})"


def _same_kind(source: np.dtype[Any], target: np.dtype[Any]) -> bool:
    from ix.importer.promotion import is_float

    if is_float(source) and is_float(target):
        return True
    return bool(np.can_cast(source, target, "same_kind"))


def _is_view(index: Any) -> bool:
    """Whether an index gives a view in NumPy: no array, no list."""
    entries = index if isinstance(index, tuple) else (index,)
    return not any(isinstance(each, (Tracer, np.ndarray, list)) for each in entries)
