"""An executable: a plan, its code and its constants, ready to be called.

    executable(x, y)      arrays in, arrays out

What is common to all of them; `cpu_executable`, `device_executable` and
`cuda_executable` run the kernels.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import numpy as np

from ix.errors import InputError, RuntimeFailure
from ix.runtime.arrays import aligned_empty, as_numpy, dtype_of
from ix.runtime.plan import Plan, Tensor
from ix.runtime.sizes import evaluate

__all__ = ["Executable", "InputCheck", "output_maker"]

ALIGNED_BYTES = 1 << 20
"""Outputs from here on start at a multiple of 64 bytes."""


class Executable(ABC):
    """A compiled program.

    Args:
        plan: What to run.
        objects: The code that it was loaded from.
        constants: One array for each of plan.constants, in order.

    Attributes:
        num_threads: Threads of one call, the caller included.
    """

    num_threads: int = 1

    def __init__(
        self,
        plan: Plan,
        objects: Sequence[bytes],
        constants: Sequence[np.ndarray],
    ) -> None:
        self.plan = plan
        self.objects = list(objects)
        self.constants = list(constants)
        self._inputs = [InputCheck(t, plan) for t in plan.inputs]
        self._outputs = [output_maker(t) for t in plan.outputs]
        self._closed = False

    def __call__(self, *arrays: Any) -> list[Any]:
        """Runs the program; outputs come back as new arrays, in the plan's order."""
        return self.run_flat(arrays)

    def __repr__(self) -> str:
        from ix.runtime.explain import signature

        target = self.plan.target.partition("{")[0]
        return f"<{self.plan.name} for {target}: {signature(self.plan)}>"

    @abstractmethod
    def run_flat(self, arrays: Sequence[Any]) -> list[Any]:
        """Runs the program on a sequence of inputs, in the plan's order.

        Raises:
            InputError: Count, dtype, rank or a size does not fit.
            RuntimeFailure: The executable is closed, or memory ran out.
        """

    def array_call(self) -> Callable[[Sequence[np.ndarray]], list[Any]] | None:
        """A shorter `run_flat` for NumPy arrays of the plan's dtypes and shapes."""
        return None

    @abstractmethod
    def profile(self, *arrays: Any, calls: int = 30) -> Any:
        """Times whole calls and each kernel, or counts what the kernels do.

        Returns:
            What prints as a table; `to_json` gives it as data.
        """

    @abstractmethod
    def close(self) -> None:
        """Frees the memory; a later call raises RuntimeFailure."""

    @property
    @abstractmethod
    def memory_bytes(self) -> dict[str, int]:
        """Bytes that a call needs beyond its inputs and outputs, by kind."""

    def explain(self) -> str:
        """The kernels, their work, the memory, and why ops were fused or not."""
        from ix.runtime.explain import explain

        return explain(self.plan, self.memory_bytes)

    def save(self, path: Any) -> None:
        """Writes the executable to a file that `ix.load` reads."""
        from ix.runtime.artifact import save

        save(self, path)

    def dims_of(self, arrays: Sequence[Any]) -> list[int]:
        """Sizes of the declared dimensions in a call with these arrays.

        Raises:
            InputError: The arrays are not what the program takes.
        """
        if len(arrays) != len(self._inputs):
            self._refuse_count(len(arrays))
        pairs = zip(self._inputs, arrays, strict=True)
        return self._bound([check(array) for check, array in pairs])

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeFailure(
                f"'{self.plan.name}' needs an open executable, but it was closed; "
                "compile or load it again"
            )

    def _refuse_count(self, count: int) -> NoReturn:
        names = ", ".join(t.name for t in self.plan.inputs)
        raise InputError(
            f"'{self.plan.name}' needs {len(self.plan.inputs)} inputs ({names}), "
            f"but got {count}; pass one array for each"
        )

    def _bound(self, arrays: Sequence[Any]) -> list[int]:
        """Sizes of the declared dimensions, from checked inputs.

        Raises:
            InputError: A size is out of bounds, or two inputs differ in it.
        """
        sizes: dict[int, int] = {}
        for check, array in zip(self._inputs, arrays, strict=True):
            check.bind(array, sizes)
        return [sizes[index] for index in range(len(self.plan.dims))]


class InputCheck:
    """Turns one argument into a C-contiguous array of the right dtype and shape."""

    def __init__(self, tensor: Tensor, plan: Plan) -> None:
        self.tensor = tensor
        self.dtype = dtype_of(tensor.dtype)
        self.shape = tensor.shape
        self.static = all(isinstance(size, int) for size in tensor.shape)
        self.plan = plan

    def __call__(self, array: Any) -> np.ndarray:
        if type(array) is not np.ndarray:
            array = as_numpy(array, self.tensor.name)
        self.require(array)
        flags = array.flags
        if not flags.c_contiguous:
            array = np.ascontiguousarray(array).reshape(array.shape)
        checked: np.ndarray = array
        return checked

    def require(self, array: Any) -> None:
        """Checks dtype, rank and static sizes of what has a dtype and a shape.

        Raises:
            InputError: One does not fit.
        """
        if array.dtype != self.dtype:
            self._refuse(
                f"dtype {self.dtype.name}", f"it has {array.dtype.name}", "cast it"
            )
        if self.static:
            if array.shape != self.shape:
                self._refuse_shape(array)
        elif len(array.shape) != len(self.shape):
            self._refuse_shape(array)

    def bind(self, array: Any, sizes: dict[int, int]) -> None:
        """Checks this array's dynamic sizes and adds the new ones to `sizes`."""
        if self.static:
            return
        for axis, (size, got) in enumerate(zip(self.shape, array.shape, strict=True)):
            if isinstance(size, int):
                if size != got:
                    self._refuse_shape(array)
                continue
            index = size[1]
            dim = self.plan.dims[index]
            if sizes.setdefault(index, got) != got:
                self._refuse(
                    f"axis {axis} ({dim.name}) to be {sizes[index]} as in an earlier "
                    "input",
                    f"it is {got}",
                    "pass inputs that agree",
                )
            if not dim.low <= got <= dim.high:
                self._refuse(
                    f"axis {axis} ({dim.name}) within {dim.low}..{dim.high}",
                    f"it is {got}",
                    "declare a wider ix.Dim",
                )

    def _refuse_shape(self, array: Any) -> None:
        want = ", ".join(
            str(s) if isinstance(s, int) else self.plan.dims[s[1]].name
            for s in self.shape
        )
        self._refuse(
            f"shape ({want})",
            f"it has {tuple(array.shape)}",
            "reshape it or compile for it",
        )

    def _refuse(self, requirement: str, fact: str, remedy: str) -> None:
        raise InputError(
            f"input '{self.tensor.name}' of '{self.plan.name}' needs {requirement}, "
            f"but {fact}; {remedy}"
        )


def output_maker(tensor: Tensor) -> Callable[[Sequence[int]], np.ndarray]:
    """A function from the dimensions' sizes to a new, uninitialised output.

    Large outputs are aligned, because kernels may write them past the caches.
    """
    dtype = dtype_of(tensor.dtype)

    def make(shape: Sequence[int]) -> np.ndarray:
        size_bytes = math.prod(shape) * dtype.itemsize
        if size_bytes < ALIGNED_BYTES:
            return np.empty(shape, dtype)
        return aligned_empty(size_bytes).view(dtype).reshape(shape)

    if all(isinstance(size, int) for size in tensor.shape):
        shape: Any = tensor.shape
        if math.prod(shape) * dtype.itemsize < ALIGNED_BYTES:
            return lambda dims: np.empty(shape, dtype)
        return lambda dims: make(shape)
    sizes = tensor.shape
    return lambda dims: make([evaluate(size, dims) for size in sizes])
