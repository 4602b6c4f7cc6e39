"""Programs with dynamic dimensions: one trace serves every size within the bounds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ix.api import jit
from ix.dialects.ix.reference import evaluate
from ix.dim import Dim
from ix.errors import InputError
from ix.importer.trace import trace
from ix.importer.trace.pytree import flatten

N, M = Dim("n", 1, 16), Dim("m", 2, 16)

EXPRESSIONS = """
x+1 x*y x.sum(0) x.mean() x.mean(0) x.var(0) x.std(0,ddof=1) x.max(0,keepdims=True) x@y.T x.T@x x@x.T
np.maximum(x,0)@y.T x.reshape(-1) x.reshape(-1,2,3) x.reshape(x.shape[0],-1) x.reshape(2*x.shape[0],3)
x.reshape(x.shape[0]*x.shape[1]//2,2) x[:,None]+y[None] x[:1] x[-1] x[-1:] x[1:] x[:-1] x[::2] x[::-1]
x[::-2] x[:3] x[2:] x[-3:] x[:,1:4] x[...,::-1] x[x.shape[0]//2:] x[[0,-1]] np.take(x,-1,0) x[x.argmax(0)-x.shape[0]] x[[-1,0],[0,-2]] x[x.argmin(0),-1] x[np.array([0])] x[:,[1,2]]
np.concatenate([x,x]) np.concatenate([x,y]) np.stack([x,x]) np.vstack([x,y]) np.tile(x,(2,1)) np.tile(x,3)
np.repeat(x,2,0) np.flip(x) np.roll(x,1,0) np.roll(x,-2) np.pad(x,((1,2),(0,0)))
np.broadcast_to(x[0],x.shape) np.zeros_like(x) np.ones_like(y) np.argsort(x,0) np.sort(x,0) np.cumsum(x,0)
np.argmax(x,0) np.einsum("ik,jk->ij",x,y) np.einsum("ik,jk->",x,y) np.outer(x[0],y[:,0])
np.tensordot(x,y,([1],[1])) x/x.shape[0] x*x.shape[0]+y.shape[0]*1.5 np.sqrt(x.shape[0])*x x*(1.0/x.shape[0])
x.shape[0]/2*x x*x.shape[0]**-0.5 x.shape[0]**2*x np.arange(6)*x.shape[0] np.arange(x.shape[0],like=x)
np.arange(x.shape[0],like=x)[:,None]<np.arange(y.shape[0],like=x) np.tril(x@y.T) np.triu(x@y.T,1)
np.where(x>0,x,0) np.eye(x.shape[0],like=x) np.full((x.shape[0],2),3.0,like=x) np.linalg.norm(x,axis=0)
np.average(x,0) np.diff(x,axis=0) np.split(x,[1],0) np.expand_dims(x,1) np.squeeze(x[:,None],1)
np.swapaxes(x[None],0,2) np.moveaxis(x[None],0,2) np.ravel(x.T) np.take(x,[0,0],0)
np.take_along_axis(x,np.argsort(x,0),0) np.clip(x,-1,1) np.count_nonzero(x>0) np.meshgrid(x[:,0],y[:,0])
x.size*x[0] np.insert(x,0,1.0,0) np.append(x,y,0) np.gradient(x,axis=1) np.cov(x.T)
np.interp(x[:,0],[-1.,0,1],[0.,1,3]) np.block([[x],[y]]) np.trapezoid(x,axis=0) np.unstack(x,axis=1)
np.kron(x[:,:1],y[:,:1]) np.rot90(x) np.atleast_3d(x) np.hstack([x,x])
"""

CASES = EXPRESSIONS.split()


def run(program: Any, *args: Any) -> list[Any]:
    weights = {name: program.weights.array(name) for name in program.weights}
    return evaluate(program.module, [np.asarray(leaf) for leaf in args], weights)


@pytest.mark.parametrize("source", CASES)
def test_one_trace_serves_all_sizes(source: str) -> None:
    function = eval(f"lambda x, y: {source}", {"np": np})
    sample = [np.zeros((3, 6), np.float32), np.zeros((5, 6), np.float32)]
    program = trace(function, sample, dims=dims_of(source))
    compare_sizes(source, function, lambda x, y: run(program, x, y))


@pytest.mark.slow
@pytest.mark.parametrize("source", CASES)
def test_one_compiled_program_serves_all_sizes(source: str) -> None:
    function = eval(f"lambda x, y: {source}", {"np": np})
    compiled = jit(function, dims=dims_of(source))
    compare_sizes(source, function, lambda x, y: flatten(compiled(x, y))[0])


def dims_of(source: str) -> dict[str, Any]:
    """The dynamic rows of both arguments; elementwise ones share a dimension."""
    return {"x": {0: N}, "y": [N if source == "x*y" else M, None]}


def compare_sizes(source: str, function: Any, traced: Any) -> None:
    """Compares with NumPy at several sizes."""
    random = np.random.default_rng(len(source))
    for n, m in ((4, 2), (2, 7), (9, 9)):
        m = n if source == "x*y" else m
        x = random.standard_normal((n, 6)).astype(np.float32)
        y = random.standard_normal((m, 6)).astype(np.float32)
        expected = flatten(function(x, y))[0]
        for got, want in zip(traced(x, y), expected, strict=True):
            want = np.asarray(want)
            assert got.dtype == want.dtype
            assert got.shape == want.shape
            np.testing.assert_allclose(got, want, rtol=2e-5, atol=2e-5)


def shapes_of(function: Any, *args: Any, **options: Any) -> list[str]:
    """The sizes of a traced function's results, as text."""
    seen: list[str] = []

    def spy(*inner: Any) -> Any:
        result = function(*inner)
        seen.extend(str(each.shape) for each in flatten(result)[0])
        return result

    spy.__signature__ = __import__("inspect").signature(function)  # type: ignore[attr-defined]
    trace(spy, args, **options)
    return seen


def test_sizes_simplify() -> None:
    def attention_heads(x: Any) -> Any:
        batch, sequence, width = x.shape
        heads = x.reshape(batch, sequence, 4, width // 4).transpose(0, 2, 1, 3)
        back = heads.transpose(0, 2, 1, 3).reshape(batch, sequence, width)
        return (
            heads,
            back + x,
            x.reshape(-1, width),
            x.reshape(-1, width).reshape(x.shape),
        )

    dims = {"x": {0: Dim("b", 1, 8), 1: Dim("s", 1, 64)}}
    assert shapes_of(attention_heads, np.zeros((2, 3, 8)), dims=dims) == [
        "(b, 4, s, 2)",
        "(b, s, 8)",
        "(b*s, 8)",
        "(b, s, 8)",
    ]


def test_slices_from_the_end_have_static_sizes() -> None:
    dims = {"x": {0: Dim("n", 4, 16)}}
    function = lambda x: (x[-3:], x[:-3], x[:3], x[1:-1], x[-1:])  # noqa: E731
    assert shapes_of(function, np.zeros((5, 2)), dims=dims) == [
        "(3, 2)",
        "(n - 3, 2)",
        "(3, 2)",
        "(n - 2, 2)",
        "(1, 2)",
    ]


def test_a_branch_on_a_size_is_taken_where_the_bounds_decide() -> None:
    def function(x: Any) -> Any:
        return x + 1 if x.shape[0] >= 1 else x - 1

    program = trace(function, [np.zeros(3)], dims={"x": [Dim("n", 1, 9)]})
    np.testing.assert_array_equal(run(program, np.zeros(5))[0], np.ones(5))


def test_a_branch_on_a_size_that_varies_is_refused() -> None:
    function = lambda x: x + 1 if x.shape[0] > 4 else x - 1  # noqa: E731
    with pytest.raises(InputError, match=r"n - 4.*between -3 and 5.*tighter bounds"):
        trace(function, [np.zeros(3)], dims={"x": [Dim("n", 1, 9)]})


def test_a_loop_over_a_dynamic_axis_is_refused() -> None:
    with pytest.raises(InputError, match="a loop over an array needs a known number"):
        trace(lambda x: sum(row for row in x), [np.zeros(3)], dims={"x": [N]})
    with pytest.raises(InputError, match="a Python int is needed here, but the size n"):
        trace(lambda x: np.zeros(x.shape), [np.zeros(3)], dims={"x": [N]})


def test_dims_are_checked() -> None:
    x = np.zeros((3, 4))
    with pytest.raises(
        InputError, match="dims needs names of traced arguments, but 'y'"
    ):
        trace(lambda x: x, [x], dims={"y": [N, None]})
    with pytest.raises(InputError, match=r"'x' needs axes in \[-2, 2\), but got 2"):
        trace(lambda x: x, [x], dims={"x": {2: N}})
    with pytest.raises(InputError, match="one entry for each of its 2 axes, but has 1"):
        trace(lambda x: x, [x], dims={"x": [N]})
    with pytest.raises(InputError, match="needs 4 ≤ size ≤ 8 on axis 0"):
        trace(lambda x: x, [x], dims={"x": {0: Dim("n", 4, 8)}})
    with pytest.raises(InputError, match="dimension 'n' needs one declaration"):
        trace(lambda x: x, [x], dims={"x": [N, Dim("n", 2, 5)]})
    with pytest.raises(InputError, match="needs 0 ≤ minimum ≤ maximum"):
        Dim("n", 4, 2)
    with pytest.raises(InputError, match="needs an identifier"):
        Dim("a b")


def test_the_program_names_its_dimensions() -> None:
    program = trace(lambda x: x, [np.zeros((3, 4))], dims={"x": {0: N, 1: "m"}})
    text = str(program.module)
    assert 'ix.dims = ["n", "m"]' in text
    assert "m = [1, 2147483647], n = [1, 16]" in text
