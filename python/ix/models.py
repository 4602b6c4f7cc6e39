"""`ix.compile`: a model from any front end → something to call.

    model = ix.compile(module, (ids,), dynamic_shapes={...})   torch.nn.Module
    model = ix.compile(exported)                               ExportedProgram
    model = ix.compile("model.onnx", dims={"batch": (1, 64)})  ONNX: path, bytes, proto
    model = ix.compile(function, (x, y))                       a NumPy-style function
    model = ix.compile("program.mlir")                         ix as text

PyTorch and onnx are imported only for models of theirs.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ix.dim import Dim
from ix.errors import InputError, ModelImportError
from ix.runtime.executable import Executable

if TYPE_CHECKING:
    from ix.api import Compiled
    from ix.importer.program import Program
    from ix.target import Target
    from ix.torch_model import TorchModel

__all__ = ["Model", "compile", "load_exported"]


def compile(
    model: Any,
    inputs: Any = None,
    *,
    kwargs: Mapping[str, Any] | None = None,
    dynamic_shapes: Any = None,
    target: str | Target = "cpu",
    num_threads: int | None = None,
    cache: bool = True,
    trust: bool = False,
    **options: Any,
) -> Model | TorchModel | Compiled:
    """Compiles a model ahead of time.

    Args:
        model: A `torch.nn.Module` in eval mode, a `torch.export.ExportedProgram`, an
            ONNX model (path, bytes or ModelProto), a NumPy-style function, or the path
            of an `.mlir` file of ix or, with `trust`, of a `.pt2` file of PyTorch.
        inputs: Example positional arguments, where the model is a module or function:
            a sequence, or one tensor. A module's tensors may be given as NumPy arrays.
        kwargs: Example keyword arguments.
        dynamic_shapes: Sizes that change from call to call. Of a module as
            `torch.export.export` takes it, each dimension an `ix.Dim` or a
            `torch.export.Dim` with a maximum; of a function as `ix.jit` takes `dims`.
        target: What to compile for; "cpu" is this machine.
        num_threads: Threads of one call; None: IX_NUM_THREADS, else all processors.
        cache: Whether the disk cache is read and written.
        trust: Whether a `.pt2` file may be read: it can hold pickled code that runs
            when PyTorch loads it.
        options: Of ONNX: `shapes`, `dims`, `values` (see `import_onnx`). Of `.mlir`:
            `weights`, a mapping from parameter name to array.

    Returns:
        Something that is called like the model and returns what the model returns:
        torch tensors for torch tensors, NumPy arrays for NumPy arrays.

    Raises:
        InputError: An argument does not fit the kind of model.
        ModelImportError: The model cannot be read, or torch cannot export it.
        UnsupportedError: Lists everything in the model that ix lacks.
        CompileError: The program cannot be compiled for the target.
    """
    settings = {"target": target, "num_threads": num_threads, "cache": cache}
    if isinstance(model, str | Path) and Path(model).suffix in (".pt", ".pt2", ".pth"):
        model = load_exported(Path(model), trust=trust)
    if _is_torch(model):
        _refuse_options(options)
        return _compile_torch(model, inputs, kwargs, dynamic_shapes, settings)
    if isinstance(model, str | Path) and Path(model).suffix == ".mlir":
        weights = options.pop("weights", {})
        _refuse_options(options)
        return Model(_executable(_read_mlir(Path(model), weights), settings))
    if _is_onnx(model):
        from ix.importer.onnx import import_onnx

        return Model(_executable(import_onnx(model, **options), settings))
    if callable(model):
        _refuse_options(options)
        return _compile_function(model, inputs, kwargs, dynamic_shapes, settings)
    raise InputError(
        "ix.compile needs a torch.nn.Module, an ExportedProgram, an ONNX model, a "
        f"function or the path of an .onnx or .mlir file, but got {_described(model)}"
    )


class Model:
    """A compiled model with named inputs and outputs: ONNX, or ix as text.

    Args:
        executable: Runs the program.
    """

    def __init__(self, executable: Executable) -> None:
        self.executable = executable
        self.input_names = [each.name for each in executable.plan.inputs]
        self.output_names = [each.name for each in executable.plan.outputs]

    def __call__(self, *arrays: Any, **named: Any) -> Any:
        """Runs the model on arrays, by place or by name.

        Returns:
            The output, or a tuple of several; torch tensors for torch tensors.

        Raises:
            InputError: An input is missing, unknown, or does not fit.
        """
        values = [*arrays]
        if named:
            values += self._by_name(named, self.input_names[len(arrays) :])
        outputs: list[Any] = list(self.executable.run_flat(values))
        torch = sys.modules.get("torch")
        if torch is not None and any(isinstance(x, torch.Tensor) for x in values):
            from ix.runtime.arrays import tensor_of

            outputs = [tensor_of(each) for each in outputs]
        return outputs[0] if len(outputs) == 1 else tuple(outputs)

    def __repr__(self) -> str:
        return f"Model({self.executable!r})"

    def save(self, path: Any) -> None:
        """Writes the executable to a file that `ix.load` reads."""
        self.executable.save(path)

    def _by_name(self, named: Mapping[str, Any], names: Sequence[str]) -> list[Any]:
        if set(named) != set(names):
            raise InputError(
                f"the model needs the inputs {', '.join(names) or '(no more)'} by "
                f"name, but got {', '.join(named)}"
            )
        return [named[name] for name in names]


def load_exported(path: Path, *, trust: bool) -> Any:
    """The program in a `.pt2` file, as `torch.export.save` wrote it.

    Raises:
        InputError: The file is not trusted, or holds weights alone.
        ModelImportError: PyTorch cannot read it.
    """
    if path.suffix != ".pt2":
        raise InputError(
            f"ix.compile needs a whole program, but '{path}' holds weights or a "
            "pickled module; build it and pass it, or save it with torch.export.save"
        )
    if not trust:
        raise InputError(
            f"ix.compile needs a model that is safe to read, but '{path}' may hold "
            "pickled code; pass trust=True, or --trust, if you would run its programs"
        )
    import torch

    try:
        return torch.export.load(path)
    except Exception as error:  # of any type: the reader is a pickle's
        raise ModelImportError(f"'{path}' cannot be read: {error}") from error


def _is_torch(model: Any) -> bool:
    torch = sys.modules.get("torch")
    if torch is None:
        return False
    if isinstance(model, torch.nn.Module):
        return True
    return type(model).__name__ == "ExportedProgram"


def _is_onnx(model: Any) -> bool:
    if isinstance(model, str | Path | bytes):
        return True
    return type(model).__module__.partition(".")[0] == "onnx"


def _refuse_options(options: Mapping[str, Any]) -> None:
    if options:
        raise InputError(
            f"ix.compile does not take {', '.join(options)} for this kind of model"
        )


def _described(model: Any) -> str:
    return f"{type(model).__module__}.{type(model).__qualname__}"


def _executable(program: Program, settings: dict[str, Any]) -> Executable:
    from ix.compiler import compile_program

    return compile_program(program, **settings)


def _compile_torch(
    model: Any,
    inputs: Any,
    kwargs: Mapping[str, Any] | None,
    dynamic_shapes: Any,
    settings: dict[str, Any],
) -> TorchModel:
    import torch

    from ix.importer.torch_export import import_exported
    from ix.torch_model import TorchModel

    name = type(model).__name__
    if isinstance(model, torch.nn.Module):
        if inputs is None and not kwargs:
            raise InputError(
                f"ix.compile needs example inputs to export {name}, but got none; pass "
                "inputs=(x, …) or kwargs={…}"
            )
        args = tuple(_tensor(each) for each in _sequence(inputs))
        named = {key: _tensor(each) for key, each in (kwargs or {}).items()}
        model = _exported(model, args, named, dynamic_shapes)
    exported = import_exported(model, name)
    return TorchModel(_executable(exported.program, settings), exported)


def _exported(module: Any, args: Any, kwargs: Any, dynamic_shapes: Any) -> Any:
    """The program that torch captures of a module.

    A tensor that is given twice is two inputs: torch would take them for one for ever.

    Raises:
        ModelImportError: torch cannot, for example where Python looks at elements.
    """
    import torch

    from ix.importer.locations import error_position

    shapes = _torch_dims(dynamic_shapes)
    seen: set[int] = set()

    def distinct(leaf: Any) -> Any:
        if not isinstance(leaf, torch.Tensor) or id(leaf) not in seen:
            seen.add(id(leaf))
            return leaf
        return leaf.clone()

    args, kwargs = torch.utils._pytree.tree_map(distinct, (args, kwargs))
    try:
        with torch.no_grad():
            return torch.export.export(module, args, kwargs, dynamic_shapes=shapes)
    except Exception as error:  # of torch's many types, and those of the module's code
        place = error_position(error)
        reason = str(error).strip().partition("\n")[0] or "it gives no reason"
        raise ModelImportError(
            f"{place}: error: "
            * bool(place)
            + f"{type(module).__name__} needs to be exported by torch, but "
            f"{type(error).__name__}: {reason}; choose by elements with torch.where or "
            "torch.cond, and see torch.export.draft_export for the whole report"
        ) from error


def _torch_dims(shapes: Any) -> Any:
    """Nested `dynamic_shapes` with a torch.export.Dim for each `ix.Dim`."""
    import torch

    if isinstance(shapes, Dim):
        return torch.export.Dim(shapes.name, min=shapes.minimum, max=shapes.maximum)
    if isinstance(shapes, Mapping):
        return {key: _torch_dims(each) for key, each in shapes.items()}
    if isinstance(shapes, tuple | list):
        return type(shapes)(_torch_dims(each) for each in shapes)
    return shapes


def _sequence(inputs: Any) -> Sequence[Any]:
    """Positional arguments: a tuple or list of them, or one alone."""
    if inputs is None:
        return ()
    return inputs if isinstance(inputs, tuple | list) else (inputs,)


def _tensor(value: Any) -> Any:
    if not isinstance(value, np.ndarray):
        return value
    from ix.runtime.arrays import tensor_of

    return tensor_of(value)


def _compile_function(
    function: Any,
    inputs: Any,
    kwargs: Mapping[str, Any] | None,
    dims: Any,
    settings: dict[str, Any],
) -> Compiled:
    from ix.api import jit

    if inputs is None and not kwargs:
        raise InputError(
            "ix.compile needs example inputs to trace a function, but got none; pass "
            "inputs=(x, …), or use ix.jit, which compiles when it is called"
        )
    jitted = jit(function, dims=dims, **settings)
    compiled: Compiled = jitted.lower(*_sequence(inputs), **(kwargs or {})).compile()
    return compiled


def _read_mlir(path: Path, weights: Mapping[str, Any]) -> Program:
    """A program from a file of ix; its parameters come from `weights`."""
    from ix.dialects import context
    from ix.importer.program import Program
    from ix.importer.weights import Weights
    from ix.mlir import ir

    try:
        text = path.read_text()
    except OSError as error:
        raise ModelImportError(f"'{path}' cannot be read: {error}") from error
    table = Weights()
    for name, array in weights.items():
        table.add(array, name)
    try:
        module = ir.Module.parse(text, context())
    except ir.MLIRError as error:
        raise ModelImportError(f"'{path}' is no valid ix program: {error}") from error
    return Program(module, table, [], [], None, None, {})
