"""Layers of torch.nn, compiled, against eager mode."""

import pytest

torch = pytest.importorskip("torch")
from torch.utils import _pytree as pytree  # noqa: E402

import ix  # noqa: E402

pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore")]
nn = torch.nn

LAYERS = {
    "lstm": lambda: nn.LSTM(8, 16, batch_first=True),
    "gru": lambda: nn.GRU(8, 16),
    "encoder": lambda: nn.TransformerEncoderLayer(8, 2, 16, batch_first=True),
    "convolution": lambda: nn.Sequential(
        nn.Conv1d(5, 8, 3), nn.BatchNorm1d(8), nn.ReLU(inplace=True), nn.MaxPool1d(2)
    ),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layers_agree_with_eager(name):
    layer = LAYERS[name]().eval()
    x = torch.randn(3, 5, 8)
    mine, shape = pytree.tree_flatten(ix.compile(layer, x)(x))
    with torch.no_grad():
        theirs, expected = pytree.tree_flatten(layer(x))
    assert shape == expected
    for a, b in zip(mine, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)


def test_experts_chosen_for_each_row():
    """Rows sorted by expert, as mixtures of experts of transformers multiply them."""

    class Experts(nn.Module):
        def forward(self, x, weights, ends):
            return torch.nn.functional.grouped_mm(x, weights, offs=ends)

    x = torch.randn(9, 16, dtype=torch.bfloat16)
    weights = torch.randn(3, 16, 8, dtype=torch.bfloat16)
    ends = torch.tensor([4, 4, 9], dtype=torch.int32)
    result = ix.compile(Experts(), (x, weights, ends))(x, weights, ends)
    expected = torch.cat([x[:4] @ weights[0], x[4:] @ weights[2]])
    torch.testing.assert_close(result, expected, rtol=3e-2, atol=3e-2)
