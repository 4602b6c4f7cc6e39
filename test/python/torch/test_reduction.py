"""Reductions, running totals and sorting against eager mode."""

import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

REDUCTIONS = {
    "sum": lambda x: x.sum(),
    "sum_dims": lambda x: x.sum((0, 2)),
    "sum_dtype": lambda x: x.sum(1, dtype=torch.float64),
    "mean": lambda x: x.mean(),
    "mean_dim": lambda x: x.mean(-1, keepdim=True),
    "prod": lambda x: x.prod(),
    "prod_dim": lambda x: x.prod(1),
    "amax": lambda x: x.amax((1, 2)),
    "amin": lambda x: x.amin(0, keepdim=True),
    "aminmax": lambda x: tuple(torch.aminmax(x, dim=1)),
    "max": lambda x: x.max(),
    "min": lambda x: x.min(),
    "max_dim": lambda x: tuple(x.max(1)),
    "min_dim": lambda x: tuple(x.min(-1, keepdim=True)),
    "argmax": lambda x: x.argmax(),
    "argmax_dim": lambda x: x.argmax(1),
    "argmin_dim": lambda x: x.argmin(-1, keepdim=True),
    "any": lambda x: (x > 1).any(),
    "any_dim": lambda x: (x > 1).any(1),
    "all_dim": lambda x: (x > -1).all(-1, keepdim=True),
    "var": lambda x: x.var(),
    "var_dim": lambda x: x.var(1),
    "var_biased": lambda x: x.var(2, unbiased=False, keepdim=True),
    "var_correction": lambda x: x.var((0, 1), correction=2),
    "std": lambda x: x.std(1),
    "std_mean": lambda x: torch.std_mean(x, 1),
    "var_mean": lambda x: torch.var_mean(x, (0, 2), correction=0),
    "logsumexp": lambda x: x.logsumexp(1),
    "logsumexp_dims": lambda x: x.logsumexp((0, 1), keepdim=True),
    "norm": lambda x: x.norm(),
    "norm_1": lambda x: x.norm(1, dim=1),
    "norm_3": lambda x: x.norm(3, dim=(0, 1), keepdim=True),
    "norm_inf": lambda x: torch.linalg.vector_norm(x, float("inf"), 1),
    "norm_0": lambda x: torch.linalg.vector_norm(x, 0, 1),
    "normalize": lambda x: torch.nn.functional.normalize(x, dim=1),
    "cdist": lambda x: torch.cosine_similarity(x, x.flip(0), 1),
    "cumsum": lambda x: x.cumsum(1),
    "cumprod": lambda x: x.cumprod(-1),
    "logcumsumexp": lambda x: x.logcumsumexp(1),
    "topk": lambda x: tuple(x.topk(3, 1)),
    "topk_least": lambda x: tuple(x.topk(2, -1, largest=False)),
    "sort": lambda x: tuple(x.sort(1)),
    "sort_down": lambda x: tuple(x.sort(-1, descending=True)),
    "sort_stable": lambda x: tuple(x.sort(stable=True, dim=0)),
    "argsort": lambda x: x.argsort(1),
    "msort": lambda x: x.msort(),
    "kthvalue": lambda x: tuple(x.kthvalue(2, 1)),
    "median": lambda x: tuple(x.median(1)),
    "diff": lambda x: x.diff(),
    "diff_twice": lambda x: x.diff(2, 1),
    "count_nonzero": lambda x: (x > 0).count_nonzero(1),
    "nansum": lambda x: torch.where(x > 1, float("nan"), x).nansum(1),
    "softmax": lambda x: x.softmax(1),
    "log_softmax": lambda x: x.log_softmax(-1),
    "softmax_dtype": lambda x: x.softmax(1, dtype=torch.float64),
}


@pytest.mark.parametrize("name", REDUCTIONS)
def test_reductions(check, name):
    check(REDUCTIONS[name], torch.randn(3, 5, 4))


@pytest.mark.parametrize("name", ["sum", "sum_dims", "prod_dim", "cumsum", "amax"])
@pytest.mark.parametrize(
    "dtype", [torch.int64, torch.int32, torch.uint8, torch.bool, torch.bfloat16]
)
def test_dtypes_of_reductions(check, name, dtype):
    check(REDUCTIONS[name], torch.randint(0, 3, (3, 5, 4)).to(dtype))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", ["mean_dim", "softmax", "var_dim", "logsumexp"])
def test_short_floats(check, name, dtype):
    check(REDUCTIONS[name], torch.randn(3, 5, 4, dtype=dtype))


def test_of_rank_0(check):
    check(lambda x: (x.sum(0), x.amax(0), x.cumsum(0)), torch.tensor(2.5))


def test_compiled_reductions(check_compiled):
    def function(x):
        return (
            x.mean(1),
            x.var(-1),
            x.softmax(1),
            x.argmax(2),
            x.cumsum(1),
            x.logsumexp(2),
        )

    check_compiled(function, torch.randn(3, 17, 20))
