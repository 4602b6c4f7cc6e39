"""Gathers, scatters and updates against eager mode."""

import pytest

torch = pytest.importorskip("torch")
F = torch.nn.functional
pytestmark = pytest.mark.torch


def places(limit, *shape):
    return torch.randint(0, limit, shape)


INDEXING = {
    "one": lambda x, i, j: x[i],
    "second": lambda x, i, j: x[:, j],
    "two": lambda x, i, j: x[i, j],
    "two_apart": lambda x, i, j: x[i, :, j % 3],
    "negative": lambda x, i, j: x[i - 2],
    "broadcast": lambda x, i, j: x[i[:, None], j[None, :]],
    "index_select": lambda x, i, j: x.index_select(1, j),
    "take": lambda x, i, j: x.take(i * 3 + j),
    "embedding": lambda x, i, j: F.embedding(i.reshape(2, 2), x[:, :, 0]),
    "gather": lambda x, i, j: x.gather(1, j[:, None, None].expand(4, 2, 3)),
    "gather_part": lambda x, i, j: x.gather(0, i[None, :, None].expand(2, 4, 2)),
    "take_along_dim": lambda x, i, j: x.take_along_dim(i[:, None, None], 0),
    "index_put": lambda x, i, j: x.index_put((i,), x[:1]),
    "index_put_two": lambda x, i, j: x.index_put((torch.arange(4), j), x.new_ones(3)),
    "index_put_add": lambda x, i, j: x.index_put(
        (i, j), x.new_ones(4, 3), accumulate=True
    ),
    "assign_inner": lambda x, i, j: assigned(x, i),
    "index_fill": lambda x, i, j: x.index_fill(1, torch.tensor([0, 3]), 5.0),
    "index_copy": lambda x, i, j: x.index_copy(
        0, torch.tensor([2, 0]), x.new_ones(2, 5, 3)
    ),
    "index_add": lambda x, i, j: x.index_add(
        1, torch.tensor([1, 1, 4]), x.new_ones(4, 3, 3), alpha=2
    ),
    "scatter": lambda x, i, j: x.scatter(
        1, torch.tensor([[[0], [3]]]).expand(4, 2, 3), x.new_ones(4, 2, 3)
    ),
    "scatter_value": lambda x, i, j: x.scatter(
        0, torch.tensor([[[2]]]).expand(1, 5, 3), 7.0
    ),
    "scatter_part": lambda x, i, j: x.scatter(
        1, torch.tensor([[[0, 1], [3, 2]]]), x.new_ones(2, 4, 3)
    ),
    "scatter_add": lambda x, i, j: x.scatter_add(
        1, j[:, None, None].expand(4, 1, 3), x.new_ones(4, 1, 3)
    ),
    "scatter_reduce": lambda x, i, j: x.scatter_reduce(
        1, j[:, None, None].expand(4, 1, 3), x.new_ones(4, 1, 3), "amax"
    ),
    "slice_scatter": lambda x, i, j: x.slice_scatter(x.new_ones(4, 2, 3), 1, 1, 3),
    "slice_scatter_step": lambda x, i, j: x.slice_scatter(
        x.new_ones(4, 3, 3), 1, 0, 5, 2
    ),
    "select_scatter": lambda x, i, j: x.select_scatter(x.new_ones(4, 3), 1, 2),
    "masked_put": lambda x, i, j: masked(x),
    "bucketize": lambda x, i, j: torch.bucketize(x, torch.tensor([-1.0, 0.0, 1.0])),
    "searchsorted": lambda x, i, j: torch.searchsorted(
        torch.tensor([-1.0, 0.0, 1.0]), x, right=True
    ),
    "histc": lambda x, i, j: x.histc(5, -1, 1),
    "masked_scatter": lambda x, i, j: x.masked_scatter(x > 0.5, x * 7),
    "isin": lambda x, i, j: torch.isin(i, torch.tensor([1, 3])),
    "copy": lambda x, i, j: x.clone().copy_(x[:1] * 2),
}


def assigned(x, i):
    y = x.clone()
    y[:, i % 5] = 1.0
    return y


def masked(x):
    y = x.clone()
    y[x > 0] = -1.0
    return y


@pytest.mark.parametrize("name", INDEXING)
def test_indexing(check, name):
    check(INDEXING[name], torch.randn(4, 5, 3), places(4, 4), places(3, 4))


def test_indices_of_int32(check):
    check(lambda x, i: x[i], torch.randn(4, 5), places(4, 6).int())
    check(lambda x, i: F.embedding(i, x), torch.randn(4, 5), places(4, 6).int())


def test_compiled_indexing(check_compiled):
    def function(x, i):
        return (
            F.embedding(i, x),
            x.gather(1, i[:, :4] % 9),
            x.index_add(0, i[0], x.new_ones(5, 9)),
        )

    check_compiled(function, torch.randn(8, 9), places(8, 8, 5))
