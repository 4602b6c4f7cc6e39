"""A plan, code and constants → what can be called, whatever it was compiled for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ix import knobs
from ix.errors import InputError
from ix.runtime.cpu_executable import CpuExecutable
from ix.runtime.cuda import CudaDevice
from ix.runtime.cuda_executable import CudaExecutable
from ix.runtime.device import DEVICES, open_device
from ix.runtime.device_executable import DeviceExecutable
from ix.runtime.elf import load_object
from ix.runtime.executable import Executable
from ix.runtime.plan import Plan
from ix.target import Target

__all__ = ["executable_of"]


def executable_of(
    plan: Plan,
    objects: Sequence[bytes],
    constants: Sequence[np.ndarray[Any, Any]],
    num_threads: int | None = None,
    device: Any = None,
) -> Executable:
    """Loads code and makes it callable.

    Args:
        num_threads: Threads of one call on a CPU; None: IX_NUM_THREADS, else all.
        device: Where a GPU program runs: "cuda", "cuda:1", "emulator" or a `Device`;
            None: "cuda".

    Raises:
        InputError: The device is not of the kind that the program was compiled for.
        RuntimeFailure: The device is not there.
    """
    target = Target.parse(plan.target)
    if target.kind == "cuda":
        if device is None or isinstance(device, str):
            device = open_device(device or DEVICES[0], target.name)
        if isinstance(device, CudaDevice):
            return CudaExecutable(plan, objects, constants, device)
        return DeviceExecutable(plan, objects, constants, device)
    if device not in (None, "cpu", "none"):
        raise InputError(
            f"'{plan.name}' needs the device cpu, for it was compiled for "
            f"{target.name}, but got {device!r}; leave device out, or compile for a "
            "GPU: target='sm_90a'"
        )
    return CpuExecutable(
        plan,
        load_object(*objects),
        objects,
        constants,
        knobs.num_threads() if num_threads is None else num_threads,
    )
