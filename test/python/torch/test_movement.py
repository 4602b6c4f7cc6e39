"""Views, joins, pads and creation against eager mode."""

import pytest

torch = pytest.importorskip("torch")
F = torch.nn.functional
pytestmark = pytest.mark.torch

VIEWS = {
    "view": lambda x: x.view(6, 20),
    "view_minus_one": lambda x: x.view(-1, 5),
    "reshape": lambda x: x.reshape(2, 60),
    "flatten": lambda x: x.flatten(1),
    "unflatten": lambda x: x.unflatten(2, (2, 2)),
    "squeeze": lambda x: x.unsqueeze(1).squeeze(),
    "squeeze_dim": lambda x: x.unsqueeze(1).squeeze(1),
    "squeeze_dims": lambda x: x.unsqueeze(0).unsqueeze(2).squeeze((0, 2)),
    "unsqueeze": lambda x: x.unsqueeze(-1),
    "permute": lambda x: x.permute(2, 0, 3, 1),
    "transpose": lambda x: x.transpose(1, -1),
    "swapaxes": lambda x: x.swapaxes(0, 2),
    "t": lambda x: x[0, 0].t(),
    "mT": lambda x: x.mT,
    "movedim": lambda x: x.movedim(0, 2),
    "movedim_list": lambda x: x.movedim((0, 1), (-1, 0)),
    "expand": lambda x: x[:, :1].expand(-1, 7, -1, -1),
    "expand_as": lambda x: x[:, :1].expand_as(x),
    "broadcast_to": lambda x: torch.broadcast_to(x, (3, 2, 3, 4, 5)),
    "slice": lambda x: x[:, 1:, ::2, -3:],
    "slice_ends": lambda x: x[0:1, :99, 1:-1],
    "narrow": lambda x: x.narrow(2, 1, 2),
    "select": lambda x: x.select(1, -1),
    "integer_index": lambda x: x[1, :, -2],
    "split": lambda x: x.split(2, 2),
    "split_uneven": lambda x: x.split(2, 3),
    "split_sizes": lambda x: x.split([1, 3], 2),
    "chunk": lambda x: x.chunk(3, 3),
    "tensor_split": lambda x: x.tensor_split(2, 3),
    "unbind": lambda x: x.unbind(1),
    "cat": lambda x: torch.cat([x, x + 1], 1),
    "cat_empty": lambda x: torch.cat([torch.zeros(0), x[0, 0, 0]]),
    "cat_dtypes": lambda x: torch.cat([x, x.long()], -1),
    "stack": lambda x: torch.stack([x, x * 2], -1),
    "hstack": lambda x: torch.hstack([x, x]),
    "vstack": lambda x: torch.vstack([x[0, 0, 0], x[0, 0, 1]]),
    "column_stack": lambda x: torch.column_stack([x[0, 0, 0], x[0, 0, 1]]),
    "flip": lambda x: x.flip(1, 3),
    "fliplr": lambda x: x.fliplr(),
    "roll": lambda x: x.roll(1, 2),
    "roll_many": lambda x: x.roll((1, -2), (2, 3)),
    "roll_flat": lambda x: x.roll(3),
    "rot90": lambda x: torch.rot90(x, 1, (2, 3)),
    "repeat": lambda x: x.repeat(2, 1, 1, 2),
    "tile": lambda x: x.tile(2, 3),
    "repeat_interleave": lambda x: x.repeat_interleave(2, 1),
    "as_strided": lambda x: x.as_strided((2, 3), (7, 2), 4),
    "unfold": lambda x: x.unfold(3, 3, 2),
    "im2col": lambda x: F.unfold(x, 2),
    "pixel_shuffle": lambda x: F.pixel_shuffle(x.reshape(2, 4, 3, 5), 2),
    "pixel_unshuffle": lambda x: F.pixel_unshuffle(x[..., :4], 2),
    "channel_shuffle": lambda x: F.channel_shuffle(x, 3),
    "diagonal": lambda x: x.diagonal(1, 2, 3),
    "diag": lambda x: (x[0, 0].diag(), x[0, 0, 0].diag(1)),
    "diag_embed": lambda x: torch.diag_embed(x[0, 0]),
    "trace": lambda x: x[0, 0].trace(),
    "tril": lambda x: x.tril(1),
    "triu": lambda x: x.triu(-1),
    "meshgrid": lambda x: torch.meshgrid(x[0, 0, 0], x[0, 0, :, 0], indexing="ij"),
    "cartesian_prod": lambda x: torch.cartesian_prod(x[0, 0, 0], x[0, 1, 0]),
    "block_diag": lambda x: torch.block_diag(x[0, 0], x[1, 1]),
    "pad": lambda x: F.pad(x, (1, 2, 0, 3), value=1.5),
    "pad_crops": lambda x: F.pad(x, (-1, 2, 1, -1)),
    "pad_reflect": lambda x: F.pad(x, (2, 1, 1, 1), mode="reflect"),
    "pad_replicate": lambda x: F.pad(x, (2, 1, 1, 1), mode="replicate"),
    "pad_circular": lambda x: F.pad(x, (2, 1, 1, 1), mode="circular"),
    "clone": lambda x: x.clone().contiguous().detach(),
    "ravel": lambda x: x.ravel(),
    "atleast_3d": lambda x: torch.atleast_3d(x[0, 0]),
}


@pytest.mark.parametrize("name", VIEWS)
def test_movement(check, name):
    check(VIEWS[name], torch.randn(2, 3, 4, 5))


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.bfloat16])
def test_movement_of_other_dtypes(check, dtype):
    x = torch.randint(0, 2, (3, 4)).to(dtype)
    check(lambda x: (x.t(), x[1:], torch.cat([x, x]), x.flip(0), F.pad(x, (1, 1))), x)


CREATION = {
    "zeros": lambda x: torch.zeros(2, 3) + x,
    "ones": lambda x: torch.ones(2, 3, dtype=torch.int64) + x,
    "full": lambda x: torch.full((2, 3), 7) + x,
    "zeros_like": lambda x: torch.zeros_like(x),
    "ones_like": lambda x: torch.ones_like(x, dtype=torch.int32),
    "full_like": lambda x: torch.full_like(x, 2.5),
    "new_zeros": lambda x: x.new_zeros(4) + 1,
    "new_ones": lambda x: x.new_ones(2, 2) + 1,
    "new_full": lambda x: x.new_full((2,), 3) + 1,
    "empty_filled": lambda x: torch.empty_like(x).fill_(3),
    "arange": lambda x: torch.arange(5) + x[0, 0],
    "arange_floats": lambda x: torch.arange(0.5, 3, 0.25) + x[0, 0],
    "arange_down": lambda x: torch.arange(9, 1, -2) + x[0, 0],
    "linspace": lambda x: torch.linspace(0, 1, 7) + x[0, 0],
    "eye": lambda x: torch.eye(3) + x[0, 0],
    "eye_m": lambda x: torch.eye(3, 5) + x[0, 0],
    "scalar": lambda x: torch.tensor(2.5) * x,
    "tril_indices": lambda x: torch.tril_indices(3, 4) + x[0, 0].long(),
    "one_hot": lambda x: F.one_hot((x[0] > 0).long(), 4),
}


@pytest.mark.parametrize("name", CREATION)
def test_creation(check, name):
    check(CREATION[name], torch.randn(2, 3))


def test_large_ranges_become_weights(check):
    check(lambda x: x + torch.arange(3000), torch.randn(3000))


def test_writes_to_views_become_functional(check):
    def function(x):
        y = x.clone()
        y[:, 1] = 0
        y[0] += 1
        y.mul_(2)
        return y

    check(function, torch.randn(3, 4))


def test_compiled_movement(check_compiled):
    def function(x):
        return (
            x.permute(0, 2, 1) + 1,
            torch.cat([x, x.flip(1)], 1) * 2,
            F.pad(x, (1, 2), mode="reflect") + 0.5,
            x[:, ::2].unfold(2, 3, 2) * 3,
            x.roll(2, 2) - x,
        )

    check_compiled(function, torch.randn(2, 6, 9))


def private(x):
    y = x * 2
    z = y + 1
    return y.relu_().mul_(3), z


def seen_through_a_view(x):
    y = x * 2
    row = y[0]
    y.relu_()
    return row + 1


def returned_too(x):
    y = x * 2
    z = y.add_(1)
    return y - 1, z


def read_after(x):
    y = x * 2
    z = y.relu_()
    return y + z


@pytest.mark.parametrize(
    "function", [private, seen_through_a_view, returned_too, read_after]
)
def test_writes_in_place(check, function):
    check(function, torch.randn(3, 4))


def test_writes_that_nothing_sees_need_no_rewrite():
    from ix.importer.torch_export.decompose import decomposed

    class Private(torch.nn.Module):
        def forward(self, x):
            return private(x)

    class Seen(torch.nn.Module):
        def forward(self, x):
            return seen_through_a_view(x)

    x = torch.randn(3, 4)
    exported = torch.export.export(Private(), (x,))
    assert decomposed(exported) is exported
    exported = torch.export.export(Seen(), (x,))
    assert decomposed(exported) is not exported
