"""Traces a Python function over arrays to a program."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ix.errors import InputError
from ix.importer import builder as b
from ix.importer.builder.values import mark_weak
from ix.importer.locations import error_position
from ix.importer.program import Module, Program
from ix.importer.trace.arguments import Call, Leaf, Parameters, describe
from ix.importer.trace.pytree import Tree, flatten
from ix.importer.trace.tracer import Tracer, unwrapped


def trace(
    function: Callable[..., Any],
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    *,
    dims: Mapping[str, Any] | None = None,
    static_argnames: str | Sequence[str] = (),
    static_argnums: int | Sequence[int] = (),
    name: str | None = None,
) -> Program:
    """Runs a function once on tracers, and returns the program that it describes.

    A Python number argument is a rank-0 input of float64, int64 or bool that promotes
    as a Python number does: `x * 2.0` of a float32 array stays float32. Arrays that the
    function reads from outside are captured as weights, as they are now.

    Args:
        function: Takes and returns nests of arrays; uses NumPy and operators.
        args, kwargs: Arrays, `ShapeDtype`s, numbers and nests of them. Only shapes and
            dtypes of arrays are read.
        dims: Argument name → its dynamic axes: {0: Dim("batch", 1, 64)}, or a list
            with an entry for each axis (None: static).
        static_argnames, static_argnums: Parameters whose values are part of the
            program.
        name: The program's name; by default the function's.

    Raises:
        InputError: An argument does not fit, or the function needs elements that are
            only known when the program runs.
        UnsupportedError: It calls a NumPy function that ix does not have.
    """
    parameters = Parameters(function, static_argnames, static_argnums)
    call = parameters.split(args, kwargs or {})
    return trace_call(function, call, dims or {}, name)


def trace_call(
    function: Callable[..., Any],
    call: Call,
    dims: Mapping[str, Any],
    name: str | None = None,
) -> Program:
    """`trace` for arguments that are split already."""
    leaves = _described(call, dims)
    if name is None:
        name = getattr(function, "__name__", type(function).__name__)
    with Module(name.strip("<>")) as module:
        tracers = [_argument(module, leaf) for leaf in leaves]
        args, kwargs = call.rebuild(tracers)
        del tracers
        outputs, tree = flatten(_run(function, args, kwargs), "the result")
        values = [_output(each) for each in outputs]
        names = output_names(tree)
        return module.finish(
            list(zip(names, values, strict=True)),
            input_tree=call.tree,
            output_tree=tree,
        )


def _run(function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """The function's result; an `InputError` gets the line that it comes from.

    Raises:
        InputError: A builder refuses its operands, or the function calls itself
            without an end.
    """
    try:
        return function(*args, **kwargs)
    except RecursionError as error:
        where = error_position(error, outermost=True)
        raise InputError(
            f"{where}: error: a traced function needs to come to an end, but it calls "
            "itself too deep; let Python numbers end the recursion, or write a loop"
        ) from None
    except InputError as error:
        where = error_position(error)
        if where and not str(error).startswith(where.rpartition(":")[0]):
            error.args = (f"{where}: error: {error}",)
        raise


def _described(call: Call, dims: Mapping[str, Any]) -> list[Leaf]:
    leaves = [
        describe(name, leaf, dims)
        for name, leaf, fixed in zip(call.names, call.leaves, call.static, strict=True)
        if not fixed
    ]
    known = {leaf.name for leaf in leaves}
    for name in dims:
        if name not in known:
            raise InputError(
                f"dims needs names of traced arguments, but '{name}' is none of "
                f"{', '.join(sorted(known)) or '(none)'}"
            )
    return leaves


def _argument(module: Module, leaf: Leaf) -> Tracer:
    value = module.argument(leaf.name, leaf.spec.shape, leaf.spec.dtype)
    return Tracer(value if leaf.weak is None else mark_weak(value, leaf.weak))


def _output(leaf: Any) -> Any:
    """The Value of a result.

    Raises:
        InputError: It is no array and no number.
    """
    if isinstance(leaf, str | bytes) or callable(leaf):
        raise InputError(
            f"a traced function needs to return arrays, but it returns {leaf!r:.60}; "
            "return that from a function around it"
        )
    return b.as_value(unwrapped(leaf))


def output_names(tree: Tree) -> list[str]:
    """A name for each result: dict keys and fields, else `output`, `output_0`, …"""
    names: list[str] = []
    for path in tree.paths(""):
        plain = path.replace("[", "_").replace("]", "").replace("'", "").strip("._")
        plain = f"output_{plain}" if plain[:1].isdigit() else plain or "output"
        while plain in names:
            plain += "_"
        names.append(plain)
    return names
