"""`ix.jit`: a call → a signature → a cached executable → a launch.

A call whose arguments have been seen before costs one tuple, one look-up and the
launch; nothing of the importer or the compiler is imported for it.
"""

from __future__ import annotations

import functools
import sys
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from ix.errors import InputError

if TYPE_CHECKING:
    from ix.importer.program import Program
    from ix.importer.trace.arguments import Call, Parameters
    from ix.importer.trace.pytree import Tree
    from ix.runtime.executable import Executable

__all__ = ["Compiled", "Jitted", "Lowered", "jit"]

MAX_FAST_KEYS = 4096
"""Exact signatures remembered; with dynamic dimensions many lead to one program."""

Options = dict[str, Any]
Launch = Callable[[Sequence[Any]], Any]


@overload
def jit(function: Callable[..., Any], /, **options: Any) -> Jitted: ...
@overload
def jit(
    function: None = None, /, **options: Any
) -> Callable[[Callable[..., Any]], Jitted]: ...
def jit(
    function: Callable[..., Any] | None = None,
    /,
    *,
    target: Any = "cpu",
    dims: Mapping[str, Any] | None = None,
    static_argnames: str | Sequence[str] = (),
    static_argnums: int | Sequence[int] = (),
    num_threads: int | None = None,
    **options: Any,
) -> Any:
    """Compiles a NumPy-style function when it is called; a decorator or a function.

    Each combination of dtypes, shapes and static values is compiled once. Arrays from
    outside of the function are captured as they are at its first call.

    Args:
        function: Takes and returns arrays, or nests of them; runs NumPy functions.
        target: What to compile for; "cpu" is this machine.
        dims: Argument name → its dynamic axes, {0: ix.Dim("batch", 1, 64)}, or a list
            with an entry for each axis (None: static). One program serves all sizes.
        static_argnames, static_argnums: Parameters that are part of the program: it is
            compiled again for each of their values, which must be hashable.
        num_threads: Threads of one call; None: IX_NUM_THREADS, else all processors.
        options: What else `compile_program` takes.

    Raises:
        InputError: There is no function; or, at the first call, a static parameter
            that it does not have, like every error of an argument.
    """
    settings = {"target": target, "num_threads": num_threads, **options}

    def decorate(inner: Callable[..., Any]) -> Jitted:
        if not callable(inner):
            raise InputError(
                f"ix.jit needs a function, but got {inner!r}; write @ix.jit above it, "
                "or ix.jit(function)"
            )
        return Jitted(inner, dims or {}, static_argnames, static_argnums, settings)

    return decorate if function is None else decorate(function)


class Jitted:
    """A function that is compiled for the arguments it is called with.

    Calls may come from several threads; a new signature is compiled by one of them
    while the others wait. On tracers it runs the function itself, so that jitted
    functions may call each other.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        dims: Mapping[str, Any],
        static_argnames: str | Sequence[str],
        static_argnums: int | Sequence[int],
        options: Options,
    ) -> None:
        functools.update_wrapper(self, function)
        self._function = function
        self._dims = dict(dims)
        self._static = (static_argnames, static_argnums)
        self._options = options
        self._fast: dict[Any, Launch] = {}
        self._nested: dict[Any, Compiled] = {}
        self._programs: dict[Any, Compiled] = {}
        self._lock = threading.RLock()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if kwargs:
            names: Any = tuple(kwargs)
            flat: Sequence[Any] = (*args, *kwargs.values())
        else:
            names, flat = None, args
        key: Any
        try:
            key = (names, *[(a.__class__, a.dtype, a.shape) for a in flat])
            launch = self._fast.get(key)
        except (AttributeError, TypeError):  # a number, a nest, an unhashable shape
            key = launch = None
        if launch is None:
            return self._call_nested(args, kwargs, key)
        return launch(flat)

    def __repr__(self) -> str:
        name = getattr(self._function, "__qualname__", repr(self._function))
        return f"<ix.jit of {name}, {len(self._programs)} programs compiled>"

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """The method of an instance: a jitted function with programs of its own."""
        if instance is None:
            return self
        holder = getattr(instance, "__dict__", {}).setdefault(_HOLDER, _Bound())
        bound = holder.get(id(self))
        if bound is None or bound.__wrapped__.__self__ is not instance:
            method = self._function.__get__(instance, owner)
            bound = Jitted(method, self._dims, *self._static, self._options)
            holder[id(self)] = bound
        return bound

    def lower(self, *args: Any, **kwargs: Any) -> Lowered:
        """Traces the function for these arguments and stops before compiling.

        Args:
            args, kwargs: As for a call; `ix.ShapeDtype` may stand for arrays.
        """
        from ix.importer.trace.function import trace_call

        call = self._parameters.split(args, kwargs)
        program = trace_call(self._function, call, self._dims)
        return Lowered(program, call, self._parameters, self._options)

    @functools.cached_property
    def _parameters(self) -> Parameters:
        from ix.importer.trace.arguments import Parameters

        return Parameters(self._function, *self._static)

    def _call_nested(self, args: Any, kwargs: dict[str, Any], key: Any) -> Any:
        """A call with nests, numbers or static values, or with new shapes."""
        try:
            nested, leaves = self._parameters.signature(args, kwargs)
        except (TypeError, RecursionError):  # `split` and `_signature` say why
            return self._call_new(args, kwargs, key, None)
        compiled = self._nested.get(nested)
        if compiled is None:
            return self._call_new(args, kwargs, key, nested)
        return compiled.run(leaves)

    def _call_new(
        self, args: Any, kwargs: dict[str, Any], key: Any, nested: Any
    ) -> Any:
        """A call whose exact signature is not known."""
        from ix.importer.trace.tracer import Tracer

        call = self._parameters.split(args, kwargs)
        if any(isinstance(leaf, Tracer) for leaf in call.leaves):
            return self._function(*args, **kwargs)
        signature = _signature(call, self._dims)
        compiled = self._programs.get(signature)
        if compiled is None:
            with self._lock:
                compiled = self._programs.get(signature)
                if compiled is None:
                    compiled = self.lower(*args, **kwargs).compile()
                    self._programs[signature] = compiled
        if max(len(self._fast), len(self._nested)) >= MAX_FAST_KEYS:
            self._fast.clear()
            self._nested.clear()
        if key is not None and not any(call.static) and call.is_flat():
            self._fast[key] = compiled.launcher(call, tuple(kwargs), len(args))
        elif nested is not None:
            self._nested[nested] = compiled
        return compiled.run(call.dynamic())


_HOLDER = "__ix_jitted__"


class _Bound(dict[int, Jitted]):
    """The jitted methods of one instance, in its __dict__; copies start empty.

    Kept there, they die with the instance, which they refer to.
    """

    def __reduce__(self) -> Any:
        return (_Bound, ())


class Lowered:
    """A function traced for some arguments: lower → compile → call, as in JAX."""

    def __init__(
        self, program: Program, call: Call, parameters: Parameters, options: Options
    ) -> None:
        self.program = program
        self._call = call
        self._parameters = parameters
        self._options = options

    @property
    def module(self) -> Any:
        """The MLIR module as it was imported."""
        return self.program.module

    def as_text(self, stage: str = "import") -> str:
        """The program after a stage, to read.

        Args:
            stage: import, graph, precision, sparsity, linalg, schedule; then loops and
                llvm for a CPU, or gpu, nvvm and ptx for a GPU.

        Raises:
            InputError: There is no such stage for the target.
            CompileError: A pass refuses the program.
        """
        from ix.compiler import lower_text

        return lower_text(self.program, self._options["target"], stage)

    def compile(self) -> Compiled:
        """Compiles for the target.

        Raises:
            CompileError: The program cannot be compiled for it.
        """
        from ix.compiler import compile_program

        executable = compile_program(self.program, **self._options)
        tree = self.program.output_tree
        return Compiled(executable, tree, self._call, self._parameters)


class Compiled:
    """An executable with the signature and the nests of the function it came from.

    Calling it with arguments of another signature raises `InputError`.
    """

    def __init__(
        self,
        executable: Executable,
        output_tree: Tree,
        call: Call,
        parameters: Parameters,
    ) -> None:
        from ix.importer.trace.pytree import LEAF, rebuilder

        self.executable = executable
        self._tree, self._static = call.tree, _static_values(call)
        self._parameters = parameters
        self._single = output_tree == LEAF
        self._rebuild = rebuilder(output_tree)

    def __repr__(self) -> str:
        return f"Compiled({self.executable!r})"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.run(self._checked(args, kwargs).dynamic())

    def explain(self) -> str:
        """The kernels, their work, the memory, and why ops were fused or not."""
        return self.executable.explain()

    def profile(self, *args: Any, calls: int = 30, **kwargs: Any) -> Any:
        """Times whole calls with these arguments, and each kernel."""
        leaves = self._checked(args, kwargs).dynamic()
        return self.executable.profile(*leaves, calls=calls)

    def save(self, path: Any) -> None:
        """Writes the executable to a file that `ix.load` reads.

        What is loaded takes and returns flat arrays: the nests are not kept.
        """
        self.executable.save(path)

    def _checked(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Call:
        call = self._parameters.split(args, kwargs)
        if call.tree != self._tree or _static_values(call) != self._static:
            raise InputError(
                "a compiled function needs arguments nested as those it was compiled "
                "for, and the same static values, but they differ; lower it again"
            )
        return call

    def run(self, leaves: Sequence[Any]) -> Any:
        """Runs the program on a call's traced leaves; returns the function's nest."""
        return self._nested(self.executable.run_flat(leaves), _wrapper_of(leaves))

    def launcher(self, call: Call, names: tuple[str, ...], count: int) -> Launch:
        """The shortest way from a flat call of this signature to its result.

        Args:
            call: A call whose arguments are all traced arrays.
            names: Its keyword arguments, in the order of the call.
            count: How many positional arguments stand before them.
        """
        run: Callable[[Sequence[Any]], list[Any]] = self.executable.run_flat
        single, nested = self._single, self._nested
        wrap = _wrapper_of(call.leaves)
        if wrap is None and not names:
            if all(type(leaf) is np.ndarray for leaf in call.leaves):
                run = self.executable.array_call() or run
            if single:
                return lambda flat: run(flat)[0]
            return lambda flat: nested(run(flat), None)
        order = [*range(count), *(count + names.index(each) for each in sorted(names))]
        return lambda flat: nested(run([flat[at] for at in order]), wrap)

    def _nested(self, outputs: Iterable[Any], wrap: Callable[[Any], Any] | None) -> Any:
        if wrap is not None:
            outputs = map(wrap, outputs)
        return self._rebuild(iter(outputs))


def _signature(call: Call, dims: Mapping[str, Any]) -> Any:
    """What decides about the program: the nest, static values, dtypes and shapes.

    Sizes of dynamic axes are left out once they were checked against their bounds.

    Raises:
        InputError: A static value is not hashable, or an argument does not fit.
    """
    from ix.importer.trace.arguments import describe

    parts: list[Any] = []
    for name, leaf, fixed in zip(call.names, call.leaves, call.static, strict=True):
        if fixed:
            parts.append((type(leaf), leaf))
        elif name in dims or not hasattr(leaf, "shape"):
            described = describe(name, leaf, dims)
            parts.append((described.spec, described.weak))
        else:
            parts.append((leaf.dtype, tuple(leaf.shape)))
    signature = (call.tree, tuple(parts))
    try:
        hash(signature)
    except TypeError:
        raise InputError(
            f"static arguments need to be hashable, but one of "
            f"{', '.join(call.static_names())} is not; pass a tuple for a list, or an "
            "array as a traced argument"
        ) from None
    return signature


def _static_values(call: Call) -> list[Any]:
    return [leaf for leaf, fixed in zip(call.leaves, call.static, strict=True) if fixed]


def _wrapper_of(leaves: Iterable[Any]) -> Callable[[Any], Any] | None:
    """What results are wrapped in: torch's tensors where a leaf is one, else None."""
    torch = sys.modules.get("torch")
    if torch is None or not any(isinstance(leaf, torch.Tensor) for leaf in leaves):
        return None
    from ix.runtime.arrays import tensor_of

    return tensor_of
