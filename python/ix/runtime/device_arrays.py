"""Arrays on a GPU at the edge of an executable: CuPy, torch, JAX, and their protocols.

Nothing is copied; none of the libraries is imported.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ix.errors import InputError
from ix.runtime.arrays import dtype_of

if TYPE_CHECKING:
    from ix.runtime.cuda import CudaDevice

__all__ = ["KINDS", "DeviceArray", "device_array"]

KINDS = ("torch", "jax", "cupy")
"""Outputs are of the first of these kinds that an input is of, else of NumPy."""

_DLPACK_CUDA = (2, 13)  # kDLCUDA, kDLCUDAManaged
# Source: DLPack, dlpack.h, DLDeviceType.


@dataclass(slots=True)  # not frozen: each call makes some, and that is slow
class DeviceArray:
    """Memory of a GPU, seen as an array.

    Attributes:
        kind: One of `KINDS`.
        strides: In bytes; None: C-contiguous.
        number: Of the GPU.
        stream: Handle of the stream that writes it, where its owner says so.
        foreign: Its allocator does not order its reuse by torch's or CuPy's stream.
        owner: Keeps the memory.
    """

    kind: str
    address: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    strides: tuple[int, ...] | None
    number: int
    stream: int | None
    foreign: bool
    owner: Any

    @property
    def nbytes(self) -> int:
        """Bytes of its elements."""
        count = self.dtype.itemsize
        for size in self.shape:
            count *= size
        return count


def device_array(value: Any, name: str, device: CudaDevice) -> DeviceArray | None:
    """An input as memory of a GPU; None: it is in the host's memory, or no array.

    Args:
        value: What was passed.
        name: The input's name, for messages.
        device: Imports through DLPack, on CuPy's current stream.

    Raises:
        InputError: The array is on a GPU but cannot be seen.
    """
    library = type(value).__module__.partition(".")[0]
    if library == "torch":
        return _of_torch(value) if value.device.type == "cuda" else None
    if library == "cupy":
        return _of_cupy(value, "cupy", value)
    if library == "numpy" or isinstance(value, bool | int | float | list | tuple):
        return None
    kind = "jax" if library in ("jax", "jaxlib") else "cupy"
    place = getattr(value, "__dlpack_device__", None)
    if place is not None:
        if place()[0] not in _DLPACK_CUDA:
            return None
        try:
            return _of_cupy(device.from_dlpack(value), kind, value)
        except (BufferError, RuntimeError, TypeError, ValueError) as error:
            raise InputError(
                f"input '{name}' needs GPU memory that CuPy can view, but its DLPack "
                f"export fails ({error}); convert it to a CuPy array first"
            ) from error
    interface = getattr(value, "__cuda_array_interface__", None)
    return None if interface is None else _of_interface(interface, value, device)


def _of_torch(tensor: Any) -> DeviceArray:
    if tensor.is_neg():
        tensor = tensor.resolve_neg()
    dtype = dtype_of(str(tensor.dtype).removeprefix("torch."))
    strides = None
    if not tensor.is_contiguous():
        strides = tuple(step * dtype.itemsize for step in tensor.stride())
    number = tensor.device.index or 0
    address, shape = tensor.data_ptr(), tuple(tensor.shape)
    return DeviceArray(
        "torch", address, shape, dtype, strides, number, None, False, tensor
    )


def _of_cupy(array: Any, kind: str, owner: Any) -> DeviceArray:
    strides = None if array.flags.c_contiguous else array.strides
    return DeviceArray(
        kind,
        array.data.ptr,
        array.shape,
        array.dtype,
        strides,
        array.data.device_id,
        None,
        array is not owner,
        (array, owner),
    )


def _of_interface(
    interface: dict[str, Any], owner: Any, device: CudaDevice
) -> DeviceArray:
    """An object of the CUDA array interface, version 3 or older."""
    dtype = np.dtype(interface["typestr"])
    shape = tuple(interface["shape"])
    strides = interface.get("strides")
    if strides is not None and _is_contiguous(shape, strides, dtype.itemsize):
        strides = None
    address = interface["data"][0]
    number = device.number_of(address) if address else device.id
    stream = interface.get("stream")
    return DeviceArray(
        "cupy", address, shape, dtype, strides, number, stream, True, owner
    )


def _is_contiguous(
    shape: Sequence[int], strides: Sequence[int], element_bytes: int
) -> bool:
    step = element_bytes
    for size, stride in zip(reversed(shape), reversed(strides), strict=True):
        if size != 1 and stride != step:
            return 0 in shape
        step *= size
    return True


def empty_outputs(
    kind: str,
    shapes: Sequence[tuple[int, ...]],
    dtypes: Sequence[np.dtype[Any]],
    device: CudaDevice,
) -> tuple[list[Any], list[int]]:
    """New arrays of a kind, with undefined contents, and their addresses.

    JAX, which lets nobody write to its arrays, gets them as CuPy's until `finished`.

    Raises:
        RuntimeFailure: There is not so much memory left.
    """
    pairs = zip(shapes, dtypes, strict=True)
    if kind == "torch":
        torch = sys.modules["torch"]
        place = f"cuda:{device.id}"
        tensors = [
            torch.empty(shape, dtype=getattr(torch, dtype.name), device=place)
            for shape, dtype in pairs
        ]
        return tensors, [tensor.data_ptr() for tensor in tensors]
    arrays = [device.empty(shape, dtype) for shape, dtype in pairs]
    return arrays, [array.data.ptr for array in arrays]


def finished(kind: str, outputs: list[Any]) -> list[Any]:
    """Outputs as the caller gets them, once the work is queued."""
    if kind != "jax":
        return outputs
    jax = sys.modules["jax"]
    return [jax.dlpack.from_dlpack(output) for output in outputs]
