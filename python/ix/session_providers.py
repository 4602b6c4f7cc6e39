"""Execution providers: the names of ONNX Runtime, and what runs a program for each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ix.errors import InputError
from ix.session_types import SessionOptions

__all__ = ["chosen", "engine", "get_available_providers"]

_CPU = "CPUExecutionProvider"
_CUDA = "CUDAExecutionProvider"
_REFERENCE = "ReferenceExecutionProvider"


def get_available_providers() -> list[str]:
    """The execution providers of this machine, the preferred one first.

    "ReferenceExecutionProvider" interprets the imported program with NumPy, in double
    precision: slow, and meant for checking.
    """
    return [_CPU, _REFERENCE]


def chosen(
    providers: Sequence[Any] | None, options: Sequence[Mapping[str, Any]] | None
) -> tuple[str, Mapping[str, Any]]:
    """The first provider that this machine has, and its options."""
    if not providers:
        return _CPU, {}
    names = [each if isinstance(each, str) else each[0] for each in providers]
    given = [{} if isinstance(each, str) else each[1] for each in providers]
    if options:
        given = [dict(each) for each in options]
    available = get_available_providers()
    for name in names:
        if name not in (*available, _CUDA):
            raise InputError(
                f"a session needs providers out of {available}, but got {name!r}; "
                "see ix.session.get_available_providers"
            )
    for name, each in zip(names, given, strict=False):
        if name in available:
            return name, each
    return _CPU, {}


def engine(
    provider: str, options: SessionOptions
) -> Callable[[Any], Callable[[Sequence[Any]], Sequence[Any]]]:
    """How a provider turns a Program into something that runs."""
    return _interpreted if provider == _REFERENCE else _compiled(options)


def _interpreted(program: Any) -> Callable[[Sequence[Any]], Sequence[Any]]:
    from ix.dialects.ix.reference import evaluate

    weights = {name: program.weights.array(name) for name in program.weights}
    return lambda arrays: evaluate(program.module, arrays, weights)


def _compiled(
    options: SessionOptions,
) -> Callable[[Any], Callable[[Sequence[Any]], Sequence[Any]]]:
    def build(program: Any) -> Callable[[Sequence[Any]], Sequence[Any]]:
        from ix.compiler import compile_program

        threads = options.intra_op_num_threads or None
        executable = compile_program(program, "cpu", num_threads=threads)
        return executable.run_flat

    return build
