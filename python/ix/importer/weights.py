"""The weights of a program: named arrays that live beside the module, not in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ix.errors import ModelImportError


def as_array(data: Any) -> np.ndarray[Any, Any]:
    """Views `data` as a NumPy array, without a copy where its memory allows it.

    NumPy arrays and memory maps pass through. Torch tensors on the CPU and other
    array-likes share their memory; torch's bfloat16 and float8, which NumPy lacks, are
    viewed as the types of ml_dtypes.
    """
    if isinstance(data, np.ndarray):
        return data
    if type(data).__module__.partition(".")[0] == "torch":
        return _view_of_torch(data)
    return np.asarray(data)


def _view_of_torch(tensor: Any) -> np.ndarray[Any, Any]:
    """Views a torch tensor on the CPU, through integers where NumPy lacks the dtype."""
    import ml_dtypes

    tensor = tensor.detach()
    name = str(tensor.dtype).removeprefix("torch.")
    if name in ("bfloat16", "float8_e4m3fn", "float8_e5m2"):
        import torch

        bits = torch.int16 if name == "bfloat16" else torch.uint8
        return tensor.view(bits).numpy().view(np.dtype(getattr(ml_dtypes, name)))
    return tensor.numpy()


def _identity(array: Any) -> Any:
    """What is equal for two views of the same elements, while both are alive."""
    if isinstance(array, np.ndarray):
        data = array.__array_interface__["data"][0]
        return (data, array.shape, array.strides, array.dtype)
    if hasattr(array, "data_ptr"):  # torch
        return (array.data_ptr(), tuple(array.shape), array.stride(), array.dtype)
    return id(array)


class Weights(Mapping[str, Any]):
    """An ordered mapping from parameter name to array-like.

    The same memory added twice keeps its first name, so tied weights are stored once.
    """

    def __init__(self) -> None:
        self._arrays: dict[str, Any] = {}
        self._names: dict[Any, str] = {}  # identity of the memory → its first name

    def __getitem__(self, name: str) -> Any:
        return self._arrays[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)

    def add(self, array: Any, name: str | None = None) -> str:
        """Adds an array without a copy and returns the name that it has.

        Args:
            array: Anything that `as_array` takes.
            name: The wanted name; by default `constant_<n>`. Memory that is there
                already keeps its own.

        Raises:
            ModelImportError: Another array has that name.
        """
        identity = _identity(array)
        known = self._names.get(identity)
        if known is not None:
            return known
        if name is None:
            name = f"constant_{len(self._arrays)}"
        if name in self._arrays:
            raise ModelImportError(
                f"parameter '{name}' needs a name of its own, but two arrays have it"
            )
        self._arrays[name] = array
        self._names[identity] = name
        return name

    def array(self, name: str) -> np.ndarray[Any, Any]:
        """The array `name` as NumPy sees it, without a copy where possible."""
        return as_array(self._arrays[name])
