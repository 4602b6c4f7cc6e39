"""NumPy functions on tracers: looks them up in the tables and calls them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from ix.errors import InputError, UnsupportedError
from ix.importer.locations import user_position
from ix.importer.trace.functions_creation import CREATION
from ix.importer.trace.functions_math import MATH
from ix.importer.trace.functions_order import ORDER
from ix.importer.trace.functions_reduction import REDUCTION
from ix.importer.trace.functions_shape import SHAPE, VIEWS
from ix.importer.trace.functions_update import UPDATE
from ix.importer.trace.tracer import Tracer, strongly_wrapped, unwrapped
from ix.importer.trace.ufuncs import into_outputs

FUNCTIONS: dict[Any, Callable[..., Any]] = {
    **CREATION,
    **SHAPE,
    **MATH,
    **REDUCTION,
    **ORDER,
}
"""NumPy function → the function on Values that takes NumPy's arguments."""

_REMEDIES = {
    "nonzero": "use np.where(mask, x, y): its size does not depend on data",
    "flatnonzero": "use np.where(mask, x, y): its size does not depend on data",
    "argwhere": "use np.where(mask, x, y): its size does not depend on data",
    "compress": "use np.where(mask, x, 0): its size does not depend on data",
    "extract": "use np.where(mask, x, 0): its size does not depend on data",
    "unique": "its size depends on data; compute it outside of the traced function",
    "apply_along_axis": "write the function for whole arrays",
}


def apply_function(
    function: Any, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Any:
    """What the NumPy function gives, as tracers.

    Raises:
        UnsupportedError: ix has no such function; names it and the line.
        InputError: It has the function, but not these arguments.
    """
    if function in UPDATE:
        return UPDATE[function](*args, **kwargs)
    options = dict(kwargs)
    out = options.pop("out", None)
    name = function_name(function)
    if function not in FUNCTIONS:
        raise UnsupportedError(
            [f"{name}, called at {user_position()}"],
            _REMEDIES.get(
                function.__name__,
                "compute it with other NumPy functions, or outside of the traced "
                "function",
            ),
        )
    rule = FUNCTIONS[function]
    try:
        _signature(rule).bind(*args, **options)
    except TypeError as error:
        raise InputError(
            f"{name} on an array that is traced: {error}; ix takes {_signature(rule)}"
        ) from None
    operands = [unwrapped(each) for each in args]
    result = strongly_wrapped(
        rule(*operands, **{key: unwrapped(each) for key, each in options.items()})
    )
    if function in VIEWS and isinstance(args[0], Tracer):
        share_memory(result, args[0])
    return into_outputs(name, result, out)


def share_memory(result: Any, source: Tracer) -> None:
    """Says that results are NumPy views of `source`."""
    if isinstance(result, Tracer):
        result.share(source)
    elif isinstance(result, list | tuple):
        for each in result:
            share_memory(each, source)


@cache
def _signature(rule: Callable[..., Any]) -> inspect.Signature:
    return inspect.signature(rule)


def function_name(function: Any) -> str:
    """The public name of a NumPy function, as `np.linalg.norm`."""
    module = getattr(function, "__module__", "") or ""
    return f"{module}.{function.__name__}".replace("numpy", "np", 1)
