"""`torch.compile(backend="ix")`."""

import logging

import pytest

torch = pytest.importorskip("torch")

from ix.errors import InputError  # noqa: E402

pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore")]
LOGGER = "ix.torch_backend"


@pytest.fixture(autouse=True)
def fresh_dynamo():
    torch._dynamo.reset()


def assert_close(a, b):
    torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)


def small_model():
    return torch.nn.Sequential(
        torch.nn.Linear(24, 32), torch.nn.GELU(), torch.nn.Linear(32, 5)
    ).eval()


def test_the_backend_is_listed():
    assert "ix" in torch.compiler.list_backends()


def test_batches_of_any_size(caplog):
    model = small_model()
    fast = torch.compile(model, backend="ix")
    with caplog.at_level(logging.WARNING, LOGGER), torch.no_grad():
        for batch in (4, 7, 3, 40, 200):
            x = torch.randn(batch, 24)
            assert_close(fast(x), model(x))
    assert not caplog.records


def test_weights_may_be_written():
    model = small_model()
    fast = torch.compile(model, backend="ix")
    x = torch.randn(4, 24)
    with torch.no_grad():
        before = fast(x)
        model[2].weight.mul_(2)
        assert_close(fast(x), model(x))
        assert not torch.equal(fast(x), before)


def test_inference_mode_and_attention(caplog):
    def attend(q, k, v):
        return torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)

    q = torch.randn(2, 4, 8, 16)
    with caplog.at_level(logging.WARNING, LOGGER), torch.inference_mode():
        fast = torch.compile(attend, backend="ix")
        assert_close(fast(q, q + 1, q), attend(q, q + 1, q))
    assert not caplog.records


def test_training_runs_eagerly_and_says_so(caplog):
    model = small_model()
    fast = torch.compile(model, backend="ix")
    with caplog.at_level(logging.WARNING, LOGGER):
        fast(torch.randn(4, 24)).sum().backward()
    assert model[0].weight.grad is not None
    assert "inference only" in caplog.text


def test_unsupported_graphs_run_eagerly_and_say_so(caplog):
    def spectrum(x):
        return torch.fft.rfft(x).abs()

    x = torch.randn(16)
    with caplog.at_level(logging.WARNING, LOGGER), torch.no_grad():
        assert_close(torch.compile(spectrum, backend="ix")(x), spectrum(x))
    assert "aten._fft_r2c.default" in caplog.text


def test_graph_breaks_and_mutation():
    def function(x, cache):
        y = x * 2
        print(end="")  # ends a graph
        cache.add_(y.sum())
        return y + cache

    x, cache, expected = torch.randn(3), torch.zeros(3), torch.zeros(3)
    fast = torch.compile(function, backend="ix")
    with torch.no_grad():
        assert_close(fast(x, cache), function(x, expected))
    assert_close(cache, expected)


def test_options():
    fast = torch.compile(
        small_model(), backend="ix", options={"num_threads": 1, "freeze": False}
    )
    with torch.no_grad():
        assert fast(torch.randn(2, 24)).shape == (2, 5)
    wrong = torch.compile(small_model(), backend="ix", options={"threads": 1})
    with torch.no_grad(), pytest.raises(Exception, match="needs options among") as e:
        wrong(torch.randn(2, 24))
    assert isinstance(e.value, InputError) or "InputError" in repr(e.value)
