"""Arguments of a function to trace: which are static, the shapes of the others.

Arrays (NumPy, ml_dtypes, torch, anything with `shape` and `dtype`), `ShapeDtype` and
Python numbers are traced; of an array only shape and dtype are read. Strings, bytes,
types, dtypes, enums and functions are static of themselves: they are part of the
signature, as are the arguments that `static_argnames` and `static_argnums` name.
"""

from __future__ import annotations

import enum
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import BuiltinFunctionType, FunctionType
from typing import Any

import numpy as np

from ix.dim import Dim, ShapeDtype
from ix.errors import InputError
from ix.importer.promotion import Weak, canonical_dtype
from ix.importer.trace.pytree import Tree, flatten, rebuilder, signature

_STATIC_TYPES = (
    str,
    bytes,
    type,
    np.dtype,
    enum.Enum,
    FunctionType,
    BuiltinFunctionType,
    np.ufunc,
    slice,
    type(Ellipsis),
)


@dataclass(frozen=True)
class Leaf:
    """One traced argument.

    Args:
        name: Its path from the parameter: `x`, `params.w[0]`.
        spec: Sizes (ints, and `Dim`s where dynamic) and dtype.
        weak: bool, int or float for a Python number, else None.
    """

    name: str
    spec: ShapeDtype
    weak: Weak | None


@dataclass(frozen=True)
class Call:
    """A call's arguments, split into traced leaves and static ones.

    Args:
        tree: The nest of (args, kwargs).
        leaves: The actual leaves, static ones included, in order.
        names: A name for each leaf.
        static: For each leaf, whether it is static.
    """

    tree: Tree
    leaves: list[Any]
    names: list[str]
    static: list[bool]

    def dynamic(self) -> list[Any]:
        """The leaves that are traced, in order."""
        return [
            leaf
            for leaf, fixed in zip(self.leaves, self.static, strict=True)
            if not fixed
        ]

    def is_flat(self) -> bool:
        """Whether every argument is one leaf, not a nest."""
        return all(
            argument.kind is None
            for group in self.tree.children
            for argument in group.children
        )

    def static_names(self) -> list[str]:
        """The names of the static leaves."""
        return [
            name for name, fixed in zip(self.names, self.static, strict=True) if fixed
        ]

    def rebuild(self, traced: Iterable[Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """(args, kwargs) with the traced leaves replaced, static ones kept."""
        replaced = iter(traced)
        leaves = [
            leaf if fixed else next(replaced)
            for leaf, fixed in zip(self.leaves, self.static, strict=True)
        ]
        return rebuilder(self.tree)(iter(leaves))


class Parameters:
    """What a function's signature says about its arguments.

    Args:
        function: The function to trace.
        static_argnames, static_argnums: Parameters that are not traced.

    Raises:
        InputError: A name or number that the function does not have.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        static_argnames: str | Sequence[str] = (),
        static_argnums: int | Sequence[int] = (),
    ) -> None:
        self.names, self.variadic = _positional(function)
        names = (
            [static_argnames] if isinstance(static_argnames, str) else static_argnames
        )
        numbers = (
            [static_argnums] if isinstance(static_argnums, int) else static_argnums
        )
        self.static = set(names)
        known = _keywords(function)
        for name in self.static:
            if known is not None and name not in known:
                raise InputError(
                    f"static_argnames needs parameters of the function, but "
                    f"{name!r} is none of {', '.join(known)}"
                )
        self.static_numbers = set()
        for number in numbers:
            at = number + len(self.names) if number < 0 else number
            if at < len(self.names):
                self.static.add(self.names[at])
            elif not self.variadic:
                raise InputError(
                    f"static_argnums needs places of parameters, but {number} is none "
                    f"of the {len(self.names)}"
                )
            self.static_numbers.add(at)

    def name(self, place: int) -> str:
        """The name of the positional argument at `place`."""
        if place < len(self.names):
            return self.names[place]
        return f"{self.variadic or 'arg'}_{place - len(self.names)}"

    def signature(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """A hashable key of a call, and its traced leaves in the order of `split`.

        Raises:
            TypeError: A static value is not hashable.
        """
        leaves: list[Any] = []
        parts: list[Any] = []
        for at, argument in enumerate(args):
            if at in self.static_numbers or self.name(at) in self.static:
                parts.append((type(argument), argument))
            else:
                parts.append(signature(argument, leaves))
        for name in sorted(kwargs):
            argument = kwargs[name]
            if name in self.static:
                parts.append((name, type(argument), argument))
            else:
                parts.append((name, signature(argument, leaves)))
        key = (len(args), *parts)
        hash(key)
        return key, leaves

    def split(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Call:
        """Flattens a call's arguments."""
        trees, leaves, names, static = [], [], [], []
        places = [(self.name(at), at, arg) for at, arg in enumerate(args)]
        ordered = sorted(kwargs)
        places += [(name, -1, kwargs[name]) for name in ordered]
        for name, at, argument in places:
            fixed = name in self.static or at in self.static_numbers
            if fixed:
                found, tree = [argument], Tree(None)
            else:
                found, tree = flatten(argument, f"argument '{name}'")
            trees.append(tree)
            leaves += found
            names += list(tree.paths(name))
            static += [fixed or isinstance(leaf, _STATIC_TYPES) for leaf in found]
        count = len(args)
        tree = Tree(
            tuple,
            (),
            (
                Tree(tuple, (), tuple(trees[:count])),
                Tree(dict, tuple(ordered), tuple(trees[count:])),
            ),
        )
        return Call(tree, leaves, names, static)


def _positional(function: Callable[..., Any]) -> tuple[list[str], str]:
    """Names of positional parameters, and the one of *args or an empty text."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return [], "arg"
    names = [
        each.name
        for each in parameters
        if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)
    ]
    variadic = [each.name for each in parameters if each.kind is each.VAR_POSITIONAL]
    return names, variadic[0] if variadic else ""


def _keywords(function: Callable[..., Any]) -> list[str] | None:
    """All parameter names, or None where any keyword is accepted."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return None
    if any(each.kind is each.VAR_KEYWORD for each in parameters):
        return None
    return [each.name for each in parameters]


def describe(name: str, leaf: Any, dims: Mapping[str, Any]) -> Leaf:
    """Shape, dtype and dynamic dimensions of one traced argument.

    Args:
        dims: Argument name → dynamic axes: {axis: Dim or name}, or one entry (None:
            static) for each axis.

    Raises:
        InputError: It is no array, its dtype is unknown to ix, or a size lies outside
            of its dimension's bounds.
    """
    weak: Weak | None = type(leaf) if type(leaf) in (bool, int, float) else None
    if weak is not None:
        return Leaf(name, ShapeDtype((), np.result_type(weak)), weak)
    if not hasattr(leaf, "shape") or not hasattr(leaf, "dtype"):
        raise InputError(
            f"argument '{name}' needs to be an array, a number or a nest of them, but "
            f"it is {type(leaf).__name__}; name it in static_argnames if the program "
            "may be specialised to it"
        )
    dtype = canonical_dtype(array_dtype(leaf.dtype), f"argument '{name}'")
    axes = dynamic_axes(name, dims, len(leaf.shape))
    shape = tuple(
        _checked(name, axis, size, axes.get(axis))
        for axis, size in enumerate(leaf.shape)
    )
    return Leaf(name, ShapeDtype(shape, dtype), None)


def array_dtype(dtype: Any) -> Any:
    """The NumPy dtype behind an array's own dtype object; torch's by its name."""
    if isinstance(dtype, np.dtype | type):
        return dtype
    name = str(dtype)
    if name.startswith("torch."):
        import ml_dtypes

        short = name.removeprefix("torch.")
        return np.dtype(getattr(ml_dtypes, short, short))
    return dtype


def dynamic_axes(name: str, dims: Mapping[str, Any], rank: int) -> dict[int, Dim]:
    """Axis → dimension for one argument.

    Raises:
        InputError: An axis or an entry does not fit the argument.
    """
    declared = dims.get(name)
    if declared is None:
        return {}
    if isinstance(declared, Mapping):
        pairs = list(declared.items())
    else:
        pairs = list(enumerate(declared))
        if len(pairs) != rank:
            raise InputError(
                f"dims of '{name}' needs one entry for each of its {rank} axes, but "
                f"has {len(pairs)}"
            )
    result = {}
    for axis, dim in pairs:
        if dim is None:
            continue
        if not -rank <= axis < rank:
            raise InputError(
                f"dims of '{name}' needs axes in [{-rank}, {rank}), but got {axis}"
            )
        result[axis % rank] = dim if isinstance(dim, Dim) else Dim(dim)
    return result


def _checked(name: str, axis: int, size: Any, dim: Dim | None) -> int | Dim:
    """The size, or the dimension that stands for it."""
    if dim is None:
        return size if isinstance(size, Dim) else int(size)
    if not isinstance(size, Dim) and not dim.minimum <= size <= dim.maximum:
        raise InputError(
            f"argument '{name}' needs {dim.minimum} ≤ size ≤ {dim.maximum} on axis "
            f"{axis} (dimension '{dim.name}'), but it is {size}"
        )
    return dim
