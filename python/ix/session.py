"""`InferenceSession`: an ONNX model with the surface of ONNX Runtime's Python API.

session = ix.InferenceSession("model.onnx")
outputs = session.run(None, {"input_ids": ids, "attention_mask": mask})

What differs from ONNX Runtime: a session compiles. Where the model leaves sizes open
it compiles once for each combination that `run` meets and keeps the most recent ones;
with `dims={"batch": (1, 64)}` it compiles once for all sizes within the bounds. Inputs
that hold shapes, axes and the like are compiled in by value in the same way.

Source: onnxruntime.ai/docs/api/python/api_summary.html.
"""

from __future__ import annotations

import contextlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from ix.dim import Dim
from ix.errors import InputError, RuntimeFailure, UnsupportedError
from ix.session_providers import chosen, engine, get_available_providers
from ix.session_types import (
    GraphOptimizationLevel,
    IOBinding,
    ModelMetadata,
    NodeArg,
    OrtValue,
    RunOptions,
    SessionOptions,
)

__all__ = [
    "GraphOptimizationLevel",
    "IOBinding",
    "InferenceSession",
    "ModelMetadata",
    "NodeArg",
    "OrtValue",
    "RunOptions",
    "SessionOptions",
    "get_available_providers",
]

MAX_PROGRAMS = 64
"""How many compiled programs a session keeps, one for each combination of sizes."""

MAX_VALUE_ELEMENTS = 1024
"""The largest input that is compiled in by value, in elements."""


@dataclass(frozen=True)
class _Program:
    """A compiled program, the inputs it takes, in order, and its outputs' names."""

    run: Callable[[Sequence[Any]], Sequence[Any]]
    inputs: list[str]
    outputs: list[str]


class InferenceSession:
    """A loaded ONNX model.

    Args:
        path_or_bytes: The model: a path, bytes, or a ModelProto.
        sess_options: Threads, dimension overrides, initializers.
        providers: Names, or (name, options); default: the CPU.
        provider_options: Options for each of `providers`.
        dims: Symbolic dimension → (minimum, maximum), inclusive, or an `ix.Dim`:
            compiled once for all sizes within.

    Raises:
        ModelImportError: The model cannot be read, or is damaged.
        UnsupportedError: Lists everything in the model that ix lacks.
        InputError: An unknown provider.
    """

    def __init__(
        self,
        path_or_bytes: Any,
        sess_options: SessionOptions | None = None,
        providers: Sequence[Any] | None = None,
        provider_options: Sequence[Mapping[str, Any]] | None = None,
        *,
        dims: Mapping[str, Any] | None = None,
    ) -> None:
        from ix.importer.onnx import load_model, require_supported_inputs

        self._options = sess_options or SessionOptions()
        self._provider, self._provider_options = chosen(providers, provider_options)
        overrides = {**self._options.free_dimension_overrides, **(dims or {})}
        self._dims = {name: _bounds(each) for name, each in overrides.items()}
        self._model = load_model(path_or_bytes)
        require_supported_inputs(self._model)
        self._inputs = [NodeArg.of(each) for each in self._model.inputs()]
        self._outputs = [NodeArg.of(each) for each in self._model.proto.graph.output]
        self._bounded = [
            [isinstance(self._dims.get(size), tuple) for size in each.shape]
            for each in self._inputs
        ]
        self._programs: OrderedDict[Any, _Program] = OrderedDict()
        self._by_value: set[str] = set()
        self._lock = threading.Lock()
        self._compiling = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None
        self._prepare()

    def get_inputs(self) -> list[NodeArg]:
        """Name, shape and type of each input."""
        return list(self._inputs)

    def get_outputs(self) -> list[NodeArg]:
        """Name, shape and type of each output."""
        return list(self._outputs)

    def get_overridable_initializers(self) -> list[NodeArg]:
        """Always empty: initializers are compiled in."""
        return []

    def get_modelmeta(self) -> ModelMetadata:
        """Producer, versions, description and metadata of the model."""
        return ModelMetadata.of(self._model.proto)

    def get_providers(self) -> list[str]:
        """The provider that runs the model."""
        return [self._provider]

    def get_provider_options(self) -> dict[str, dict[str, Any]]:
        """The options of the provider."""
        return {self._provider: dict(self._provider_options)}

    def get_session_options(self) -> SessionOptions:
        """The options that the session was made with."""
        return self._options

    def end_profiling(self) -> str:
        """The name of the profile's file: none is written, so it is empty."""
        return ""

    def run(
        self,
        output_names: Sequence[str] | None,
        input_feed: Mapping[str, Any],
        run_options: RunOptions | None = None,
    ) -> list[Any]:
        """Computes the outputs, as NumPy arrays.

        Args:
            output_names: Which outputs, in this order; None or empty: all.
            input_feed: Input name → array (NumPy, torch on the CPU, DLPack, OrtValue).

        Raises:
            InputError: A name, dtype, rank or size does not fit; lists what is
                expected.
        """
        if run_options is not None and run_options.terminate:
            raise RuntimeFailure("the run was terminated by its RunOptions")
        arrays = self._checked(input_feed)
        wanted = self._wanted(output_names)
        program = self._program(arrays)
        results = program.run([arrays[name] for name in program.inputs])
        named = dict(zip(program.outputs, results, strict=True))
        return [named[name] for name in wanted]

    def run_async(
        self,
        output_names: Sequence[str] | None,
        input_feed: Mapping[str, Any],
        callback: Callable[[list[Any], Any, str], None],
        user_data: Any,
        run_options: RunOptions | None = None,
    ) -> None:
        """Runs in another thread and calls `callback(results, user_data, error)`."""
        feed = dict(input_feed)

        def work() -> None:
            try:
                results = self.run(output_names, feed, run_options)
            except Exception as error:  # the callback is the only way to report it
                callback([], user_data, str(error))
            else:
                callback(results, user_data, "")

        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(1, "ix-session")
        self._pool.submit(work)

    def run_with_ort_values(
        self,
        output_names: Sequence[str] | None,
        input_dict_ort_values: Mapping[str, OrtValue],
        run_options: RunOptions | None = None,
    ) -> list[OrtValue]:
        """`run` with OrtValues on both sides."""
        results = self.run(output_names, input_dict_ort_values, run_options)
        return [OrtValue.ortvalue_from_numpy(each) for each in results]

    def io_binding(self) -> IOBinding:
        """An empty binding of inputs and outputs to memory."""
        return IOBinding(self)

    def run_with_iobinding(
        self, iobinding: IOBinding, run_options: RunOptions | None = None
    ) -> None:
        """Runs on bound inputs and writes to bound outputs."""
        names = list(iobinding.outputs) or None
        results = self.run(names, iobinding.inputs, run_options)
        iobinding.store(names or [each.name for each in self._outputs], results)

    # How inputs become a program.

    def _prepare(self) -> None:
        """Compiles now where every size is known, so that errors come at once."""
        shapes: dict[str, tuple[Any, ...]] = {}
        for each in self._inputs:
            sizes = tuple(self._dims.get(size, size) for size in each.shape)
            if not each.ranked or not all(isinstance(s, int | tuple) for s in sizes):
                return
            shapes[each.name] = sizes
        known = {
            name: sizes
            for name, sizes in shapes.items()
            if all(isinstance(size, int) for size in sizes)
        }
        with contextlib.suppress(_NeedsInputs):
            self._programs[self._key({}, shapes)] = self._compile(known, {})

    def _checked(self, feed: Mapping[str, Any]) -> dict[str, np.ndarray[Any, Any]]:
        """The inputs as arrays of the expected dtypes and shapes."""
        names = [each.name for each in self._inputs]
        unknown = [name for name in feed if name not in names]
        missing = [name for name in names if name not in feed]
        if unknown or missing:
            fault = f"lacks {missing}" if missing else f"has {unknown}"
            expected = ", ".join(map(str, self._inputs))
            raise InputError(
                f"run needs the inputs {expected}, but the feed {fault}; "
                "pass one array for each name"
            )
        return {each.name: each.accept(feed[each.name]) for each in self._inputs}

    def _wanted(self, names: Sequence[str] | None) -> list[str]:
        known = [each.name for each in self._outputs]
        if not names:
            return known
        unknown = [name for name in names if name not in known]
        if unknown:
            raise InputError(
                f"run needs output names out of {known}, but got {unknown}; "
                "see get_outputs"
            )
        return list(names)

    def _key(self, arrays: Mapping[str, Any], shapes: Mapping[str, Any]) -> Any:
        """What a program is specialised to: values, and sizes without bounds."""
        key: list[Any] = []
        for each, bounded in zip(self._inputs, self._bounded, strict=True):
            if each.name in self._by_value:
                key.append(arrays[each.name].tobytes())
            sizes = shapes[each.name]
            if any(bounded):
                pairs = zip(sizes, bounded, strict=True)
                sizes = tuple(None if free else size for size, free in pairs)
            key.append(tuple(sizes))
        return tuple(key)

    def _program(self, arrays: Mapping[str, Any]) -> _Program:
        """The compiled program for these inputs; compiles it at need."""
        shapes = {name: array.shape for name, array in arrays.items()}
        found = self._known(self._key(arrays, shapes))
        if found is not None:
            return found
        with self._compiling:
            while True:
                key = self._key(arrays, shapes)
                found = self._known(key)
                if found is not None:
                    return found
                values = {name: arrays[name] for name in self._by_value}
                with contextlib.suppress(_NeedsInputs):
                    program = self._compile(shapes, values)
                    break
            with self._lock:
                self._programs[key] = program
                if len(self._programs) > MAX_PROGRAMS:
                    self._programs.popitem(last=False)
            return program

    def _known(self, key: Any) -> _Program | None:
        """A program that is compiled already; it becomes the most recent one."""
        with self._lock:
            if key not in self._programs:
                return None
            self._programs.move_to_end(key)
            return self._programs[key]

    def _compile(
        self, shapes: Mapping[str, Any], values: Mapping[str, Any]
    ) -> _Program:
        """One program; notes inputs that turn out to be needed by value.

        Raises:
            _NeedsInputs: More inputs must be compiled in by value.
        """
        from ix.importer.onnx import ValuesNeeded, import_onnx

        try:
            program = import_onnx(
                self._model, shapes=shapes, dims=self._dims, values=values
            )
        except ValuesNeeded as needed:
            if needed.inputs <= self._by_value:
                raise
            self._require_small(needed, shapes)
            self._by_value = self._by_value | needed.inputs
            with self._lock:
                self._programs.clear()
            raise _NeedsInputs from needed
        run = engine(self._provider, self._options)(program)
        return _Program(run, program.input_names, program.output_names)

    def _require_small(self, needed: Any, shapes: Mapping[str, Any]) -> None:
        for name in needed.inputs:
            count = int(np.prod(shapes.get(name, ()), dtype=np.int64))
            if count > MAX_VALUE_ELEMENTS:
                raise UnsupportedError(
                    needed.items,
                    f"input {name!r} has {count} elements, but at most "
                    f"{MAX_VALUE_ELEMENTS} are compiled in by value",
                ) from needed


class _NeedsInputs(Exception):
    """The model must be imported again, with more inputs by value."""


def _bounds(size: Any) -> int | tuple[int, int]:
    """A dimension's size, or its smallest and largest one."""
    if isinstance(size, Dim):
        return size.minimum, size.maximum
    return (int(size[0]), int(size[1])) if isinstance(size, Sequence) else int(size)
