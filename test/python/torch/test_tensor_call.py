"""Calls that pass tensors by address: what they take, and what they leave to others."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import ix  # noqa: E402
from ix.runtime.cpu_executable import CpuExecutable  # noqa: E402

pytestmark = pytest.mark.torch


class Scaled(torch.nn.Module):
    def forward(self, x, y):
        return x * 2 + y.sum()


class Tagged(torch.Tensor):
    """A subclass: a call may not read its memory behind its back."""


@pytest.fixture(scope="module")
def model():
    return ix.compile(Scaled(), (torch.zeros(4, 6), torch.zeros(3)))


@pytest.fixture
def counted(monkeypatch):
    """The model, and the list of its calls by address."""
    calls = []
    launcher = CpuExecutable.launcher

    def noted(executable):
        launch = launcher(executable)

        def note(addresses):
            calls.append(addresses)
            launch(addresses)

        return note

    monkeypatch.setattr(CpuExecutable, "launcher", noted)
    return ix.compile(Scaled(), (torch.zeros(4, 6), torch.zeros(3))), calls


def check(model, x, y):
    got = model(x, y)
    assert type(got) is torch.Tensor
    assert not got.requires_grad
    torch.testing.assert_close(got, Scaled()(x, y).detach().as_subclass(torch.Tensor))


def test_tensors_go_by_address(counted):
    model, calls = counted
    x, y = torch.randn(4, 6), torch.randn(3)
    check(model, x, y)
    assert [call[:2] for call in calls] == [[x.data_ptr(), y.data_ptr()]]
    check(model, torch.randn(8, 6)[4:], torch.randn(3))  # an offset into a storage
    check(model, torch.randn(4, 6, requires_grad=True), torch.randn(3))
    assert len(calls) == 3


def other_tensors():
    x = torch.randn(6, 4)
    yield "transposed", x.t()
    yield "strided", torch.randn(4, 12)[:, ::2]
    yield "expanded", torch.randn(1, 6).expand(4, 6)
    yield "part of complex numbers", torch.randn(4, 6, dtype=torch.complex64).real
    negative = torch.randn(4, 6)._neg_view()
    assert negative.is_contiguous()
    assert negative.is_neg()
    yield "lazily negative", negative
    yield "subclass", torch.randn(4, 6).as_subclass(Tagged)
    yield "parameter", torch.nn.Parameter(torch.randn(4, 6))


@pytest.mark.parametrize(("kind", "x"), list(other_tensors()))
def test_other_tensors_are_converted(counted, kind, x):
    model, calls = counted
    check(model, x, torch.randn(3))
    assert not calls, kind


@pytest.mark.parametrize(
    ("x", "match"),
    [
        (torch.zeros(4, 6, dtype=torch.float64), "needs dtype float32, but it has"),
        (torch.zeros(4, 6, dtype=torch.complex64), "needs dtype float32, but it has"),
        (torch.zeros(6, 4), r"needs shape \(4, 6\), but it has \(6, 4\)"),
        (torch.zeros(24), r"needs shape \(4, 6\), but it has \(24,\)"),
        (torch.zeros(0, 6), r"needs shape \(4, 6\), but it has \(0, 6\)"),
        (torch.zeros(4, 6, device="meta"), "needs CPU memory, but .* on meta"),
        ("x", "needs an array, but it is a str"),
    ],
)
def test_unfit_inputs_are_refused(counted, x, match):
    model, calls = counted
    with pytest.raises(ix.InputError, match=match):
        model(x, torch.zeros(3))
    assert not calls


@pytest.mark.parametrize(
    "x", [torch.zeros(4, 6).to_sparse(), torch._efficientzerotensor(4, 6)]
)
def test_tensors_without_memory_are_refused(counted, x):
    model, calls = counted
    with pytest.raises((TypeError, RuntimeError)):
        model(x, torch.zeros(3))
    assert not calls


def test_tensors_under_vmap_are_refused(model):
    with pytest.raises(RuntimeError, match=r"storage|vmap"):
        torch.vmap(lambda x: model(x, torch.zeros(3)))(torch.zeros(5, 4, 6))


def test_counts_and_arrays_are_left_alone(counted):
    model, calls = counted
    with pytest.raises(ix.InputError, match="nested as it was compiled for"):
        model(torch.zeros(4, 6))
    x, y = np.ones((4, 6), np.float32), np.ones(3, np.float32)
    got = model(torch.from_numpy(x), y)
    assert isinstance(got, np.ndarray)
    np.testing.assert_array_equal(got, np.full((4, 6), 5.0))
    assert not calls


def test_empty_tensors():
    model = ix.compile(torch.nn.Identity(), torch.zeros(0, 3))
    assert model(torch.zeros(0, 3)).shape == (0, 3)


def test_bits_of_short_floats():
    x = torch.randn(5).to(torch.bfloat16)
    got = ix.compile(torch.nn.Identity(), x)(x)
    assert got.dtype == torch.bfloat16
    assert torch.equal(got, x)


def test_nests_of_results():
    class Two(torch.nn.Module):
        def forward(self, x):
            return {"double": x * 2, "rest": (x + 1, None, 3)}

    x = torch.randn(7)
    got = ix.compile(Two(), x)(x)
    torch.testing.assert_close(got["double"], x * 2)
    torch.testing.assert_close(got["rest"][0], x + 1)
    assert got["rest"][1:] == (None, 3)


def test_calls_from_several_threads_do_not_mix(model):
    def calls(seed):
        random = torch.Generator().manual_seed(seed)
        for _ in range(200):
            x, y = (torch.randn(s, generator=random) for s in ((4, 6), (3,)))
            torch.testing.assert_close(model(x, y), x * 2 + y.sum())

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(calls, range(4)))


def test_closed_models_are_refused():
    model = ix.compile(Scaled(), (torch.zeros(4, 6), torch.zeros(3)))
    model.executable.close()
    with pytest.raises(ix.RuntimeFailure, match="needs an open executable"):
        model(torch.zeros(4, 6), torch.zeros(3))
