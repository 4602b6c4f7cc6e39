"""Parameters, buffers and constants of an ExportedProgram, by name and never copied."""

from __future__ import annotations

from typing import Any

import torch

from ix.errors import InputError
from ix.importer.program import Module

__all__ = ["WeightTable"]


class WeightTable:
    """Adds tensors to a module's weights; tensors on the same memory become one.

    Args:
        module: The module that is being built.
    """

    def __init__(self, module: Module) -> None:
        self._module = module
        self._values: dict[Any, Any] = {}

    def value(self, tensor: torch.Tensor, name: str) -> Any:
        """The Value of a tensor: a parameter, or below 1 KiB a constant.

        Raises:
            InputError: The tensor is not in CPU memory, or not dense.
        """
        require_cpu(tensor, name)
        key = (
            tensor.data_ptr(),
            tuple(tensor.shape),
            tuple(tensor.stride()),
            tensor.dtype,
        )
        if key not in self._values or not tensor.numel():
            data = tensor.detach()
            small = isinstance(tensor, torch.nn.Parameter) is False and data.dim() == 0
            self._values[key] = (
                self._module.constant(data)
                if small
                else self._module.parameter(data, name)
            )
        return self._values[key]


def require_cpu(tensor: torch.Tensor, name: str) -> None:
    """Raises InputError unless a tensor is dense and in CPU memory."""
    if tensor.device.type != "cpu":
        raise InputError(
            f"parameter '{name}' needs to be in CPU memory, but it is on "
            f"{tensor.device}; call .cpu() on the module before compiling it"
        )
    if tensor.layout != torch.strided or tensor.is_quantized:
        raise InputError(
            f"parameter '{name}' needs to be a dense tensor, but it is "
            f"{tensor.layout}; call .to_dense() or .dequantize() on it"
        )
