"""A compiled PyTorch model: torch's nests in and out around a flat executable."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils import _pytree as pytree

from ix.errors import InputError
from ix.importer.torch_export.exported import Exported, Result
from ix.runtime.arrays import as_numpy, dtype_of, is_of_numpy, tensor_of
from ix.runtime.cpu_executable import CpuExecutable
from ix.runtime.executable import Executable, output_maker
from ix.runtime.plan import Tensor

__all__ = ["TorchModel", "leaf_of"]


class TorchModel:
    """Called like the module that it was compiled from.

    Tensors in give tensors out, NumPy arrays in give NumPy arrays out; neither is
    copied. The weights are those of the moment of compiling.

    Buffers that the model writes to (caches) are the state: they start as the module's
    were, and each call replaces them; the module's own stay as they are. A model with
    state runs one call at a time.

    Args:
        executable: Runs the program.
        exported: The program and its calling convention.
    """

    def __init__(self, executable: Executable, exported: Exported) -> None:
        self.executable = executable
        self.program = exported.program
        self._exported = exported
        self._is_flat = _is_flat(exported)
        self._is_leaf = exported.out_spec.is_leaf()
        self._fast = _tensor_call(
            executable, exported, lambda tensors: self._nested(tensors, _same)
        )
        self._lock = threading.Lock()
        self._state: list[Any] = []
        self.reset()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The model's result, nested as the module's.

        Raises:
            InputError: The nest, a dtype, a size or a constant differs from what the
                model was compiled for.
        """
        if self._fast is not None and not kwargs:
            result = self._fast(args)
            if result is not NotImplemented:
                return result
        if self._is_flat and not kwargs and len(args) == len(self._exported.inputs):
            leaves: Sequence[Any] = args
        else:
            leaves = self._flattened(args, kwargs)
        inputs = [
            leaf
            for leaf, name in zip(leaves, self._exported.inputs, strict=True)
            if name is not None
        ]
        if not self._exported.state:
            outputs = self.executable.run_flat(inputs)
        else:
            outputs = self._run_with_state(inputs)
        return self._result(outputs, leaves)

    @property
    def state(self) -> dict[str, torch.Tensor]:
        """The buffers that the model writes to, as the last call left them."""
        return {
            name: tensor_of(
                value if isinstance(value, torch.Tensor) else as_numpy(value, name)
            )
            for name, value in zip(self._exported.state, self._state, strict=True)
        }

    def reset(self) -> None:
        """Sets the state back to what the module's buffers held."""
        self._state = [
            as_numpy(tensor, name).copy()
            for name, (tensor, _, _) in self._exported.state.items()
        ]

    def __repr__(self) -> str:
        return f"TorchModel({self.executable!r})"

    def save(self, path: Any) -> None:
        """Writes the executable to a file; `ix.load` gives it back, taking flat inputs.

        Its inputs are the tensors in order, then the state.
        """
        self.executable.save(path)

    def _run_with_state(self, inputs: list[Any]) -> list[np.ndarray[Any, Any]]:
        places = [place for _, _, place in self._exported.state.values()]
        with self._lock:
            outputs = self.executable.run_flat([*inputs, *self._state])
            self._state = [outputs[place] for place in places]
        return outputs

    def _flattened(self, args: Any, kwargs: dict[str, Any]) -> list[Any]:
        """The leaves of the arguments, in the order of the exported program's."""
        spec = self._exported.in_spec
        children = _children(spec)
        wanted = children[1].context if len(children) > 1 else []
        if set(kwargs) == set(wanted):
            kwargs = {name: kwargs[name] for name in wanted}
        leaves, got = pytree.tree_flatten((args, kwargs))
        if got != spec:
            raise InputError(
                f"the model needs arguments nested as it was compiled for, {spec}, but "
                f"got {got}; pass the same positional and keyword arguments"
            )
        for at, value in self._exported.constants.items():
            if leaves[at] is not value and leaves[at] != value:
                raise InputError(
                    f"argument {at} of the model needs to be {value!r}, which it was "
                    f"compiled for, but it is {leaves[at]!r}; compile it again"
                )
        return list(leaves)

    def _result(self, outputs: list[Any], leaves: Sequence[Any]) -> Any:
        arrays = any(isinstance(leaf, np.ndarray) for leaf in leaves)
        convert = _same if arrays else tensor_of
        for at, place in self._exported.updates.items():
            _write(leaves[at], outputs[place])
        return self._nested(outputs, convert)

    def _nested(self, outputs: list[Any], convert: Any) -> Any:
        """The program's outputs as the module's result."""
        results = [leaf_of(each, outputs, convert) for each in self._exported.results]
        if self._is_leaf:
            return results[0]
        return pytree.tree_unflatten(results, self._exported.out_spec)


def _tensor_call(
    executable: Executable,
    exported: Exported,
    nested: Callable[[list[torch.Tensor]], Any],
) -> Callable[[Sequence[Any]], Any] | None:
    """The fast call of a model whose arguments are tensors alone, of static sizes.

    Their addresses go to the program as they are; no array is made around them.

    Returns:
        call(tensors) is the module's result, or NotImplemented where an input must be
        converted or refused; None where there is no such call.
    """
    if not isinstance(executable, CpuExecutable) or executable.plan.dims:
        return None
    if exported.state or exported.updates or not _is_flat(exported):
        return None
    if any(result.is_size for result in exported.results):
        return None
    plan = executable.plan
    wanted = [(getattr(torch, each.dtype, None), each.shape) for each in plan.inputs]
    makers = [_tensor_maker(each) for each in plan.outputs]
    launch = executable.launcher()
    is_single = exported.out_spec.is_leaf() and exported.results[0].output == 0
    # Names of this function alone, see CpuExecutable.launcher.
    count, kind, strided = len(wanted), torch.Tensor, torch.strided

    def call(tensors: Sequence[Any]) -> Any:
        if len(tensors) != count:
            return NotImplemented
        addresses = []
        for tensor, (dtype, shape) in zip(tensors, wanted, strict=True):
            # Subclasses may keep their values elsewhere. Conjugates have other dtypes.
            if (
                type(tensor) is not kind
                or tensor.dtype is not dtype
                or tensor.shape != shape
                or not tensor.is_cpu
                or tensor.layout is not strided
                or not tensor.is_contiguous()
                or tensor.is_neg()
            ):
                return NotImplemented
            address = tensor.data_ptr()
            if not address:  # empty, or zeros that no memory stands behind
                return NotImplemented
            addresses.append(address)
        outputs = [make() for make in makers]
        for output in outputs:
            addresses.append(output.data_ptr())
        launch(addresses)
        return outputs[0] if is_single else nested(outputs)

    return call


def _tensor_maker(tensor: Tensor) -> Callable[[], torch.Tensor]:
    """A function that makes an output, uninitialised, whose size is known."""
    make, dims = output_maker(tensor), ()
    if is_of_numpy(dtype_of(tensor.dtype)):
        from_numpy = torch.from_numpy
        return lambda: from_numpy(make(dims))
    return lambda: tensor_of(make(dims))


def _is_flat(exported: Exported) -> bool:
    """Whether the arguments are tensors alone, all positional."""
    spec = exported.in_spec
    positional = _children(spec)[0]
    return (
        not exported.constants
        and spec.num_leaves == positional.num_leaves
        and all(each.is_leaf() for each in _children(positional))
    )


def _children(spec: Any) -> Sequence[Any]:
    """The parts of a nest; torch before 2.8 has them as a field alone."""
    if hasattr(spec, "children"):
        return list(spec.children())
    return list(spec.children_specs)


def _same(array: Any) -> Any:
    return array


def leaf_of(result: Result, outputs: list[Any], convert: Any) -> Any:
    """A leaf of the result: a constant, a size as an int, or a converted array."""
    if result.output is None:
        return result.constant
    array = outputs[result.output]
    return int(array) if result.is_size else convert(array)


def _write(target: Any, array: np.ndarray[Any, Any]) -> None:
    """Writes to an argument that the model changes in place."""
    if isinstance(target, torch.Tensor):
        with torch.no_grad():
            target.copy_(tensor_of(array))
    else:
        np.copyto(target, array)
