"""`torch.compile(model, backend="ix")`: inference graphs run by ix, the rest by eager.

    fast = torch.compile(model, backend="ix", options={"num_threads": 2})
    with torch.inference_mode():
        y = fast(x)

What ix cannot take (training, an op that it lacks) runs in eager mode; why is logged
by the logger "ix.torch_backend".
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx

from ix.errors import CompileError, InputError, ModelImportError

__all__ = ["ix"]

LOGGER = logging.getLogger(__name__)

GROWTH = 4
"""A dynamic size that torch knows no maximum of may grow by this factor, from the size
at hand, before the graph is compiled again."""


@dataclass(frozen=True)
class Options:
    """What `options` of torch.compile may say.

    Args:
        target: What to compile for.
        num_threads: Threads of one call; None: IX_NUM_THREADS, else all processors.
        cache: Whether the disk cache is read and written.
        freeze: Whether parameters become constants, which is faster. Writing to one
            compiles its graph again.
    """

    target: str = "cpu"
    num_threads: int | None = None
    cache: bool = True
    freeze: bool = True


def ix(
    module: fx.GraphModule,
    example_inputs: Sequence[Any],
    options: Mapping[str, Any] | None = None,
    **rest: Any,
) -> Callable[..., Any]:
    """The backend that torch.compile calls for each graph.

    Args:
        module: A graph of torch calls, as TorchDynamo captured it.
        example_inputs: The arguments of the call at hand.
        options: See `Options`.
        rest: Other arguments of torch.compile, such as `mode`; none has a meaning here.

    Raises:
        InputError: There is no such option.
    """
    from torch._dynamo.backends.common import aot_autograd

    from ix.importer.torch_export.decompose import decompositions

    chosen = _options(options or {})
    if _needs_gradients(module, example_inputs):
        LOGGER.warning(
            "a graph of %d nodes runs in eager mode: ix compiles inference only, but "
            "it needs gradients; call the model under torch.inference_mode()",
            len(module.graph.nodes),
        )
        eager: Callable[..., Any] = module.forward
        return eager

    def compile_inference(graph: fx.GraphModule, inputs: Sequence[Any]) -> Any:
        call = _Graph(graph, chosen, _static_places(len(inputs)))
        return _boxed(call)

    compiler = aot_autograd(
        fw_compiler=compile_inference,
        inference_compiler=compile_inference,
        decompositions=decompositions(),
    )
    compiled: Callable[..., Any] = compiler(module, example_inputs)
    return compiled


def _options(given: Mapping[str, Any]) -> Options:
    known = Options.__dataclass_fields__
    for name in given:
        if name not in known:
            raise InputError(
                f"torch.compile(backend='ix') needs options among {', '.join(known)}, "
                f"but got {name!r}"
            )
    return Options(**given)


def _needs_gradients(module: fx.GraphModule, inputs: Sequence[Any]) -> bool:
    if not torch.is_grad_enabled():
        return False
    tensors = [*inputs, *module.parameters()]
    return any(isinstance(x, torch.Tensor) and x.requires_grad for x in tensors)


def _static_places(count: int) -> frozenset[int]:
    """The places of inputs that keep their memory from call to call: parameters."""
    context = torch._guards.TracingContext.try_get()
    metadata = None if context is None else context.fw_metadata
    places = () if metadata is None else metadata.static_input_indices
    return frozenset(place for place in places if place < count)


def _boxed(call: Callable[[list[Any]], list[Any]]) -> Callable[..., Any]:
    """Marks a function that takes its arguments as one list, which it may empty."""

    def run(args: list[Any]) -> list[Any]:
        return call(args)

    run._boxed_call = True  # type: ignore[attr-defined]
    return run


class _Graph:
    """One graph: compiled at its first call, and again when its weights are written.

    Args:
        graph: Of ATen calls, functional.
        static: Places of the inputs that are parameters or buffers.
    """

    def __init__(
        self, graph: fx.GraphModule, options: Options, static: frozenset[int]
    ) -> None:
        self._graph = graph
        self._options = options
        self._static = static
        self._eager = False
        self._program: _Compiled | None = None

    def __call__(self, args: list[Any]) -> list[Any]:
        if not self._eager and (self._program is None or self._program.is_stale(args)):
            self._compile(args)
        if self._program is None:
            return list(self._graph(*args))
        return self._program(args)

    def _compile(self, args: list[Any]) -> None:
        """Compiles for these arguments, or notes that eager mode has to do."""
        self._program = None
        static = self._static if self._options.freeze else frozenset()
        try:
            self._program = _Compiled(self._graph, args, static, self._options)
        except (ModelImportError, InputError, CompileError) as error:
            self._eager = True
            LOGGER.warning(
                "a graph of %d nodes runs in eager mode: %s",
                len(self._graph.graph.nodes),
                error,
            )


class _Compiled:
    """An executable for a graph, with the weights and bounds that it was made for."""

    def __init__(
        self,
        graph: fx.GraphModule,
        args: Sequence[Any],
        static: frozenset[int],
        options: Options,
    ) -> None:
        from ix.compiler import compile_program
        from ix.importer.torch_export.captured import import_graph

        frozen = {
            at
            for at in static
            if isinstance(args[at], torch.Tensor) and not args[at].is_inference()
        }
        imported = import_graph(graph, args, frozen, GROWTH)
        self._inputs = imported.inputs
        self._results = imported.results
        self._limits = imported.limits
        self._frozen = [(at, args[at], args[at]._version) for at in sorted(frozen)]
        self._executable = compile_program(
            imported.program,
            options.target,
            num_threads=options.num_threads,
            cache=options.cache,
        )

    def is_stale(self, args: Sequence[Any]) -> bool:
        """Whether a weight changed, or a size left its bounds."""
        for at, tensor, version in self._frozen:
            if args[at] is not tensor or tensor._version != version:
                return True
        return any(args[at].shape[axis] > limit for at, axis, limit in self._limits)

    def __call__(self, args: list[Any]) -> list[Any]:
        from ix.runtime.arrays import tensor_of
        from ix.torch_model import leaf_of

        outputs = self._executable.run_flat([args[at] for at in self._inputs])
        args.clear()
        return [leaf_of(each, outputs, tensor_of) for each in self._results]
