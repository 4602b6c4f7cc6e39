"""Arrays at the edge of an executable: aligned memory, dtypes, foreign tensors."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np

from ix.errors import InputError, RuntimeFailure
from ix.runtime.plan import ALIGNMENT

__all__ = [
    "address_of",
    "aligned_copy",
    "aligned_empty",
    "as_numpy",
    "dtype_of",
    "is_of_numpy",
    "tensor_of",
]

_addressof = ctypes.addressof
_from_buffer: Callable[[Any], ctypes.c_char] = ctypes.c_char.from_buffer

_EXTENDED = ("bfloat16", "float8_e4m3fn", "float8_e5m2", "int4")


def dtype_of(name: str) -> np.dtype[Any]:
    """The NumPy dtype of a plan's dtype name; bf16, f8 and int4 come from ml_dtypes."""
    return np.dtype(getattr(ml_dtypes, name) if name in _EXTENDED else name)


def aligned_empty(size_bytes: int) -> np.ndarray:
    """`size_bytes` of uninitialised memory at a multiple of 64 bytes.

    Raises:
        RuntimeFailure: The memory is not to be had.
    """
    try:
        raw = np.empty(size_bytes + ALIGNMENT, np.uint8)
    except MemoryError:
        raise RuntimeFailure(
            f"the plan needs {size_bytes / 2**20:.1f} MiB in one piece, but the "
            "machine has not as much; declare smaller dimensions or run fewer calls "
            "at once"
        ) from None
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + size_bytes]


def address_of(array: np.ndarray) -> int:
    """The address of an array's first element.

    A third of the time of `array.ctypes.data`, and of its memory accesses, for what is
    writable, not empty and of NumPy's own dtypes.
    """
    try:
        return _addressof(_from_buffer(array))
    except (TypeError, ValueError, BufferError):
        return int(array.__array_interface__["data"][0])


def aligned_copy(array: np.ndarray) -> np.ndarray:
    """A C-contiguous array of the same values at a multiple of 64 bytes.

    Returns the array itself where it is so already.
    """
    if array.flags.c_contiguous and array.ctypes.data % ALIGNMENT == 0:
        return array
    out = aligned_empty(array.nbytes).view(array.dtype).reshape(array.shape)
    np.copyto(out, array)
    return out


def as_numpy(value: Any, name: str) -> np.ndarray:
    """A NumPy view of an array-like: NumPy, scalars, torch CPU tensors, DLPack.

    Nothing is copied but Python scalars and lists.

    Raises:
        InputError: The value is on another device, needs a gradient, or is no array.
    """
    if isinstance(value, np.ndarray):
        return np.asarray(value)
    if isinstance(value, bool | int | float | list | tuple | np.generic):
        return np.asarray(value)
    if type(value).__module__.partition(".")[0] == "torch":
        return _torch_view(value, name)
    if hasattr(value, "__dlpack__"):
        try:
            return np.from_dlpack(value)
        except (BufferError, RuntimeError, TypeError) as error:
            raise InputError(
                f"input '{name}' needs CPU memory that NumPy can view, but its DLPack "
                f"export fails ({error}); copy it to a NumPy array first"
            ) from error
    raise InputError(
        f"input '{name}' needs an array, but it is a {type(value).__name__}; pass a "
        "NumPy array, a torch tensor or an object with __dlpack__"
    )


def _torch_view(tensor: Any, name: str) -> np.ndarray:
    """A view of a torch CPU tensor; bf16 and f8, unknown to NumPy, by their bits."""
    tensor = tensor.detach()
    if tensor.device.type != "cpu":
        raise InputError(
            f"input '{name}' needs CPU memory, but the tensor is on {tensor.device}; "
            "call .cpu() on it or compile for that device"
        )
    kind = str(tensor.dtype).removeprefix("torch.")
    if kind in _EXTENDED:
        import torch

        bits = torch.int16 if kind == "bfloat16" else torch.uint8
        return tensor.view(bits).numpy().view(dtype_of(kind))  # type: ignore[no-any-return]
    return tensor.resolve_conj().resolve_neg().numpy()  # type: ignore[no-any-return]


def is_of_numpy(dtype: np.dtype[Any]) -> bool:
    """Whether a dtype is NumPy's own, which torch knows too."""
    return dtype.kind != "V" and dtype.isbuiltin == 1


def tensor_of(array: Any) -> Any:
    """A torch tensor that shares an array's memory; short floats through their bits.

    A tensor stays as it is: programs on a GPU give them out themselves.
    """
    import torch

    if isinstance(array, torch.Tensor):
        return array
    if is_of_numpy(array.dtype):
        return torch.from_numpy(array)
    bits = array.view(np.int16 if array.dtype.itemsize == 2 else np.uint8)
    return torch.from_numpy(bits).view(getattr(torch, array.dtype.name))
