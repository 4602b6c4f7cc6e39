"""The least time that a kernel can take on a named device.

    seconds = max(bytes / bandwidth, flops / f32 rate, Σ tensor flops / tensor rate)

A bound, not a prediction: nothing runs at its peak.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ix.cost.errors import UnknownDevice

__all__ = ["DEVICES", "Bound", "Device", "device_named", "time_bound"]

_TERA = 1e12


@dataclass(frozen=True)
class Device:
    """The peak rates of a GPU.

    Attributes:
        name: As the vendor calls it.
        architecture: What code for it is compiled for.
        multiprocessors: SMs that are enabled.
        bytes_per_second: Peak of its DRAM.
        f32_flops: f32 operations per second outside of tensor cores, an FMA being two.
        tensor_flops: Dense operations per second of tensor cores with f32 (int8: s32)
            accumulation, by the type of the factors.
        source: Where the figures are from.
    """

    name: str
    architecture: str
    multiprocessors: int
    bytes_per_second: float
    f32_flops: float
    tensor_flops: Mapping[str, float]
    source: str


def _rates(tf32: float, f16: float, fp8: float | None, int8: float) -> dict[str, float]:
    """Tensor rates by type from tera-operations per second."""
    rates = {"tf32": tf32, "f16": f16, "bf16": f16, "s8": int8}
    if fp8 is not None:
        rates |= {"e4m3": fp8, "e5m2": fp8}
    return {name: rate * _TERA for name, rate in rates.items()}


# Vendors state tensor rates with 2:4 sparsity, which doubles them; these are without.
# Every rate is also multiprocessors · operations of one in a cycle · boost clock: see
# test_roofline.py. The datasheets round what the whitepapers give to a tenth.
DEVICES = {
    "a100-80gb": Device(
        "NVIDIA A100 80GB SXM",
        "sm_80",
        108,
        2039e9,
        19.5 * _TERA,
        _rates(156, 312, None, 624),
        "NVIDIA A100 Tensor Core GPU datasheet, A100 80GB SXM "
        "(nvidia-a100-datasheet-us-nvidia-1758950-r4-web.pdf); multiprocessors: "
        "NVIDIA A100 Tensor Core GPU Architecture whitepaper "
        "(nvidia-ampere-architecture-whitepaper.pdf)",
    ),
    "h100": Device(
        "NVIDIA H100 SXM",
        "sm_90a",
        132,
        3350e9,
        66.9 * _TERA,
        _rates(494.7, 989.4, 1978.9, 1978.9),
        "NVIDIA H100 Tensor Core GPU Architecture whitepaper "
        "(resources.nvidia.com/en-us-tensor-core/gtc22-whitepaper-hopper): H100 SXM5; "
        "bandwidth: NVIDIA H100 Tensor Core GPU datasheet, 3.35 TB/s",
    ),
    "h200": Device(
        "NVIDIA H200 SXM",
        "sm_90a",
        132,
        4800e9,
        66.9 * _TERA,
        _rates(494.7, 989.4, 1978.9, 1978.9),
        "NVIDIA H200 Tensor Core GPU datasheet, H200 SXM: 4.8 TB/s, the rates of the "
        "H100; their digits: NVIDIA H100 Tensor Core GPU Architecture whitepaper",
    ),
    "l4": Device(
        "NVIDIA L4",
        "sm_89",
        58,
        300e9,
        30.3 * _TERA,
        _rates(60, 121, 242.5, 242.5),
        "NVIDIA L4 Tensor Core GPU datasheet",
    ),
    "rtx4090": Device(
        "NVIDIA GeForce RTX 4090",
        "sm_89",
        128,
        1008e9,
        82.6 * _TERA,
        _rates(82.6, 165.2, 330.3, 660.6),
        "NVIDIA Ada GPU architecture whitepaper, appendix A",
    ),
    "b200": Device(
        "NVIDIA B200 SXM",
        "sm_100a",
        148,
        8000e9,
        75 * _TERA,
        _rates(1125, 2250, 4500, 4500),
        "NVIDIA Blackwell datasheet, HGX B200 divided by its 8 GPUs",
    ),
}


@dataclass(frozen=True)
class Bound:
    """The least time of a kernel.

    Attributes:
        seconds: The time.
        limit: What takes it: `memory`, `f32` or `tensor`.
    """

    seconds: float
    limit: str


def device_named(name: str) -> Device:
    """A device by its short name, such as `h100`.

    Raises:
        UnknownDevice: ix has no figures of it.
    """
    if name not in DEVICES:
        raise UnknownDevice(
            f"'roofline' needs a device of {', '.join(DEVICES)}, but it is '{name}'; "
            "choose one of them"
        )
    return DEVICES[name]


def time_bound(
    device: Device,
    *,
    bytes_moved: float,
    flops: float = 0,
    tensor_flops: Mapping[str, float] | None = None,
) -> Bound:
    """The least time for so much work.

    Args:
        device: Where it runs.
        bytes_moved: Bytes that DRAM reads and writes.
        flops: f32 operations outside of tensor cores, an FMA being two.
        tensor_flops: Operations of tensor cores by the type of their factors.

    Raises:
        UnknownDevice: The device's tensor cores do not have a type.
    """
    tensor = 0.0
    for kind, amount in (tensor_flops or {}).items():
        if kind not in device.tensor_flops:
            raise UnknownDevice(
                f"'roofline' needs a type of {', '.join(device.tensor_flops)} on "
                f"{device.name}, but it is '{kind}'; choose another device"
            )
        tensor += amount / device.tensor_flops[kind]
    times = {
        "memory": bytes_moved / device.bytes_per_second,
        "f32": flops / device.f32_flops,
        "tensor": tensor,
    }
    limit = max(times, key=lambda name: times[name])
    return Bound(times[limit], limit)
