"""The least time on a device."""

import pytest

from ix.cost.errors import UnknownDevice
from ix.cost.occupancy import limits_of
from ix.cost.roofline import DEVICES, device_named, time_bound

H100 = device_named("h100")


def test_memory_is_the_limit_of_an_addition() -> None:
    bound = time_bound(H100, bytes_moved=3.35e9, flops=1e9)
    assert bound.limit == "memory"
    assert bound.seconds == pytest.approx(1e-3)


def test_tensor_cores_are_the_limit_of_a_large_product() -> None:
    n = 8192
    bound = time_bound(H100, bytes_moved=3 * 2 * n**2, tensor_flops={"f16": 2 * n**3})
    assert bound.limit == "tensor"
    assert bound.seconds == pytest.approx(2 * n**3 / 989.4e12)


def test_types_of_tensor_work_add_up() -> None:
    work = {"tf32": 494.7e12, "s8": 1978.9e12}
    assert time_bound(H100, bytes_moved=0, tensor_flops=work).seconds == pytest.approx(
        2
    )


def test_f32_is_the_limit_without_tensor_cores() -> None:
    bound = time_bound(device_named("l4"), bytes_moved=3e8, flops=30.3e12)
    assert (bound.limit, bound.seconds) == ("f32", 1)


@pytest.mark.parametrize("name", DEVICES)
def test_devices_are_plausible(name: str) -> None:
    device = DEVICES[name]
    assert limits_of(device.architecture).warps
    # The SMs of all have at most 128 FMA units, clocked below 3 GHz.
    assert device.f32_flops < device.multiprocessors * 128 * 2 * 3e9
    rates = device.tensor_flops
    assert rates["f16"] == rates["bf16"] >= 1.9 * rates["tf32"]
    assert rates["s8"] >= 1.9 * rates["f16"]
    assert device.bytes_per_second >= 3e11 and "NVIDIA" in device.source


# FMAs of a multiprocessor in a cycle: f32, and f16 with f32 sums on tensor cores; the
# boost clocks of the two, in GHz. Sources: the architecture whitepapers.
CLOCKED = {
    "a100-80gb": (64, 1.41, 1024, 1.41),
    "h100": (128, 1.98, 2048, 1.83),
    "h200": (128, 1.98, 2048, 1.83),
    "l4": (128, 2.04, 512, 2.04),
    "rtx4090": (128, 2.52, 256, 2.52),
}


@pytest.mark.parametrize("name", CLOCKED)
def test_rates_are_those_of_the_units_at_their_clocks(name: str) -> None:
    device = DEVICES[name]
    fmas, clock, tensor_fmas, tensor_clock = CLOCKED[name]
    scale = 2e9 * device.multiprocessors
    assert device.f32_flops == pytest.approx(scale * fmas * clock, rel=2e-3)
    rate = device.tensor_flops["f16"]
    assert rate == pytest.approx(scale * tensor_fmas * tensor_clock, rel=2e-3)


def test_an_unknown_device_is_named() -> None:
    with pytest.raises(
        UnknownDevice, match=r"needs a device of a100-80gb, h100, .*'v100'"
    ):
        device_named("v100")


def test_a_type_that_tensor_cores_lack_is_named() -> None:
    with pytest.raises(
        UnknownDevice, match="on NVIDIA A100 80GB SXM, but it is 'e4m3'"
    ):
        time_bound(device_named("a100-80gb"), bytes_moved=0, tensor_flops={"e4m3": 1.0})
