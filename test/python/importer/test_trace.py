"""Traced functions compute what NumPy computes, dtypes included (NEP 50)."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ix.api import jit
from ix.dialects.ix.reference import evaluate
from ix.importer.trace import trace
from ix.importer.trace.pytree import flatten


def run_traced(function: Callable[..., Any], *args: Any, **options: Any) -> list[Any]:
    """The results of the traced function, by the reference interpreter."""
    program = trace(function, args, **options)
    inputs = [np.asarray(leaf) for leaf in flatten(args)[0]]
    return evaluate(
        program.module, inputs, {k: program.weights.array(k) for k in program.weights}
    )


def compare(actual: list[Any], expected: list[Any], tolerance: float) -> None:
    """Shapes and dtypes are equal, and elements within what the dtype resolves."""
    assert len(actual) == len(expected)
    for got, want in zip(actual, expected, strict=True):
        want = np.asarray(want)
        assert got.dtype == want.dtype, (got.dtype, want.dtype)
        assert got.shape == want.shape
        if want.dtype.kind in "fV":
            scale = {"float16": 4e-3, "bfloat16": 3e-2}.get(want.dtype.name, tolerance)
            np.testing.assert_allclose(
                got.astype(np.float64), want.astype(np.float64), rtol=scale, atol=scale
            )
        else:
            np.testing.assert_array_equal(got, want)


def results_of(function: Callable[..., Any], *args: Any) -> list[Any]:
    """What NumPy gives for copies of the arguments."""
    copies = [np.array(a) if isinstance(a, np.ndarray) else a for a in args]
    with np.errstate(all="ignore"):
        return flatten(function(*copies))[0]


def sample(name: str, *shape: int, dtype: Any = np.float32) -> np.ndarray[Any, Any]:
    """Fresh numbers that depend on the case's name alone."""
    random = np.random.default_rng(zlib.crc32(name.encode()))
    if np.dtype(dtype) == np.bool_:
        return random.random(shape) < 0.5
    if np.issubdtype(dtype, np.integer):
        return random.integers(1, 9, shape).astype(dtype)
    return random.standard_normal(shape).astype(dtype)


UNARY = """
abs -x +x np.sign(x) np.exp(x) np.exp2(x) np.expm1(x) np.sin(x) np.cos(x) np.tan(x)
np.arctan(x) np.sinh(x) np.cosh(x) np.tanh(x) np.arcsinh(x) np.cbrt(x) np.square(x)
np.log(abs(x)) np.log2(abs(x)+1) np.log10(abs(x)+1) np.log1p(abs(x)) np.sqrt(abs(x))
np.reciprocal(x) np.floor(x) np.ceil(x) np.trunc(x) np.rint(x) np.round(x) np.round(x,2)
np.fix(x) np.isnan(x) np.isinf(x) np.isfinite(x) np.signbit(x) np.fabs(x) np.deg2rad(x)
np.degrees(x) np.positive(x) np.sinc(x) np.nan_to_num(x) np.logical_not(x) np.modf(x)
np.clip(x,-0.5,0.5) np.clip(x,0,None) x.clip(max=0.25) np.heaviside(x,0.5)
x.T x.mT x.copy() x.real x.ravel() x.flatten() x.reshape(-1,2) x.reshape((2,2,6)) x.round(1)
x.transpose(1,0) x.transpose((1,0)) x.transpose() x.swapaxes(0,1) x.squeeze() x[None].squeeze(0)
x.sum() x.sum(0) x.sum(axis=1,keepdims=True) x.sum((0,1)) x.mean() x.mean(-1) x.prod(1)
x.var() x.var(0,ddof=1) x.std(1) x.std(axis=1,ddof=1,keepdims=True) x.max() x.max(1) x.min(0)
x.argmax() x.argmax(1) x.argmin(0) x.any() x.all(1) x.cumsum() x.cumsum(1) x.cumprod(0)
x.astype(np.float16) x.astype(np.int32) x.astype(bool) x.astype(float) x.astype("int64")
x.diagonal() x.trace() x.take([1,0,3],1) x.repeat(2) x.repeat(3,0) x.dot(x.T)
np.sum(x) np.sum(x,axis=0,dtype=np.float64) np.mean(x,1,keepdims=True) np.prod(x) np.ptp(x)
np.max(x,axis=(0,1)) np.amin(x,0,keepdims=True) np.argmax(x,axis=1,keepdims=True)
np.argmax(x,keepdims=True) np.average(x) np.average(x,axis=1,weights=np.arange(6.0)) np.median(x)
np.median(x,1) np.percentile(x,30) np.quantile(x,[.1,.5],axis=0) np.count_nonzero(x>0)
np.count_nonzero(x>0,axis=1) np.sum(x,initial=3.0) np.sum(x,where=x>0) np.mean(x,where=x>-5)
np.max(x,initial=0.5,where=x>0) np.all(x>0) np.any(x>2,0) np.nansum(x) np.nanmax(x) np.nanmean(x,0)
np.nanstd(x) np.nanmin(x,1) np.cov(x) np.corrcoef(x) np.trapezoid(x) np.trapezoid(x,dx=.5,axis=0)
np.add.reduce(x) np.add.reduce(x,axis=1,keepdims=True) np.multiply.reduce(x,1) np.maximum.reduce(x)
np.logical_or.reduce(x>1,1) np.add.accumulate(x,1) np.multiply.outer(x[0],x[1])
np.cumsum(x) np.cumsum(x,0) np.cumprod(x,1) np.cumulative_sum(x,axis=1,include_initial=True)
np.diff(x) np.diff(x,2,0) np.diff(x,prepend=0) np.diff(x,append=x[:,:1]) np.ediff1d(x) np.gradient(x)
np.nanargmax(x) np.nanargmin(x,1) np.nancumsum(x) np.nancumprod(x,1) np.unravel_index(x.argmax(),(4,6)) np.logspace(x[0],x[1],3) np.vander(x[0]) np.vander(x[0],3,increasing=True)
np.array_equiv(x,x[:1]) np.iscomplex(x) np.piecewise(x,[x<0,x>1],[0,np.exp,1]) np.ldexp(x,3) np.lib.stride_tricks.sliding_window_view(x,3,1) np.partition(x[0],5)[5]
np.sort(x) np.sort(x,0) np.sort(x,None) np.argsort(x,1) np.searchsorted(np.arange(-2.,2),x)
np.digitize(x,np.array([-1.,0,1])) np.digitize(x,[1.,0,-1])
np.transpose(x) np.transpose(x,(1,0)) np.swapaxes(x,0,1) np.moveaxis(x[None],0,-1) np.rollaxis(x[None],2)
np.expand_dims(x,1) np.expand_dims(x,(0,3)) np.squeeze(x[None]) np.ravel(x) np.reshape(x,(6,4))
np.flip(x) np.flip(x,1) np.fliplr(x) np.flipud(x) np.rot90(x) np.rot90(x,2) np.rot90(x,3) np.rot90(x[None],-1,(1,2))
np.roll(x,3) np.roll(x,-1,1) np.roll(x,(1,2),(0,1)) np.tile(x,2) np.tile(x,(2,1,3)) np.repeat(x,2,1)
np.repeat(x,[1,0,2,1],0) np.concatenate([x,x]) np.concatenate((x,x),1) np.concatenate([x,x],None)
np.stack([x,x]) np.stack((x,2*x),-1) np.hstack([x,x]) np.vstack([x,x[0]]) np.dstack([x,x]) np.column_stack([x[:,0],x])
np.append(x,x) np.append(x,x,1) np.insert(x,2,0.,1) np.delete(x,1,0) np.block([[x,x],[x,x]]) np.atleast_1d(x)
np.atleast_3d(x) np.split(x,2) np.split(x,[1,3],1) np.array_split(x,4,1) np.hsplit(x,3) np.vsplit(x,[2])
np.broadcast_to(x,(2,4,6)) np.broadcast_arrays(x,x[0]) np.pad(x,1) np.pad(x,((1,2),(0,3))) np.pad(x,(1,0),mode="edge")
np.pad(x,2,mode="reflect") np.pad(x,1,mode="wrap") np.pad(x,1,constant_values=7) np.resize(x,(3,3))
np.zeros_like(x) np.ones_like(x,dtype=int) np.full_like(x,2.5) np.empty_like(x)*0 np.zeros((2,3),like=x) np.ones(3,like=x)
np.full((2,),5,like=x) np.arange(5,like=x) np.arange(1,6,2,like=x) np.eye(3,like=x) np.linspace(x[0],x[1],5)
np.tril(x) np.triu(x,1) np.tril(x[0]) np.diag(x) np.diag(x[0]) np.diag(x[0],1) np.diag(x,-1) np.diagonal(x,1) np.trace(x,1)
np.tri(3,like=x) np.diagflat(x[0]) np.meshgrid(x[0],x[:,0]) np.meshgrid(x[0],x[:,0],indexing="ij") np.unstack(x)
np.where(x>0,x,0) np.where(x>0,1,2) np.where(x>0,1.0,x) np.select([x>1,x>0],[x,2*x],-1) np.choose((x>0).astype(int),[x,-x])
np.take(x,[0,2],0) np.take(x,5) np.take(x,[7,-9],0,mode='clip') np.take(x,[7,-9],1,mode='wrap') np.take(x,[[1],[-1]],axis=1) np.take_along_axis(x,np.argsort(x,1),1) np.isin(np.rint(x),[0,1])
np.isclose(x,x+1e-9) np.allclose(x,x) np.array_equal(x,x) np.einsum("ij->ji",x) np.einsum("ij->",x) np.einsum("ii->i",x[:,:4])
np.einsum("ii",x[:,:4]) np.einsum("ij,kj->ik",x,x) np.einsum("...j,...j->...",x,x) np.einsum("ij,kj,lj->ikl",x,x,x,optimize=True)
np.einsum("ij,j",x,x[0]) np.einsum("i,j->ij",x[0],x[1]) np.einsum("bij,bjk",x.reshape(2,2,6),x.reshape(2,6,2))
np.dot(x,x.T) np.dot(x,2) np.dot(x[0],x[1]) np.dot(x,x[0]) np.dot(x,np.ones((2,6,3),np.float32)) np.vdot(x,x) np.inner(x,x)
np.outer(x[0],x[1]) np.tensordot(x,x,2) np.tensordot(x,x,([1],[1])) np.kron(x[:2,:2],x) np.cross(x[:,:3],x[:,3:])
np.matmul(x,x.T) x@x[0] x[:,0]@x x[0]@x[1] np.vecdot(x,x) np.convolve(x[0],x[1,:3]) np.convolve(x[0],x[1,:3],"same")
np.correlate(x[0],x[1,:3]) np.linalg.norm(x) np.linalg.norm(x,axis=1) np.linalg.norm(x,1,0) np.linalg.norm(x[0],3) np.linalg.norm(x[0],np.inf)
np.linalg.norm(x,axis=1,keepdims=True) np.linalg.matrix_power(x[:,:4],3) np.linalg.multi_dot([x,x.T,x]) np.linalg.vector_norm(x)
np.interp(x[0],[-1.,0,2],[3.,1,4]) np.polyval([1.,2,3],x) np.ndim(x) np.size(x,1) np.astype(x,np.float16) np.permute_dims(x,(1,0))
x+1 1+x x-1.5 2-x x*2 x/3 3/abs(x) x//0.7 x%0.7 x**2 2**x -2.5%x divmod(x,0.5) x>0 x>=0 x<0.5 0.5<=x x==x x!=x
(x>0)&(x<1) (x>0)|(x<-1) (x>0)^(x<1) ~(x>0) np.fmax(x,0.1) np.fmin(x,np.float32("nan")) np.hypot(x,x+1) np.arctan2(x,x+1)
np.logaddexp(x,x+1) np.logaddexp2(x,1) np.copysign(x,-x) np.float_power(x,2) np.fmod(x,0.3) np.minimum(x,0) np.maximum(0,x)
x[0] x[-1] x[1:3] x[::2] x[::-1] x[:,::-2] x[-3:-1,1:] x[...,0] x[...,None] x[None,:,None] x[0,1] x[3:1] x[1:100] x[[0,2]]
x[[0,2],[1,-1]] x[:,[5,0,0]] x[np.array([[0,1],[2,3]])] x[1,[0,2]] x[[0,2],1:3] x[[[0],[2]],[1,3]] x[x.argmax(0)] x[np.array([1,0,1,0],bool)]
x[np.arange(4),x.argmax(1)] x[...,[0,1]] x[:,None,[1,2]] x.reshape(2,2,6)[:,[0,1],[3,4]] x.reshape(2,2,6)[[0,1],:,[3,4]] x.reshape(2,2,6)[0,:,[3,4]]
"""

CASES = sorted({case for case in UNARY.replace("abs -x", "abs(x) -x").split() if case})


@pytest.mark.parametrize("source", CASES)
def test_expressions_of_one_matrix_equal_numpy(source: str) -> None:
    function = eval(f"lambda x: {source}", {"np": np})
    x = sample(source, 4, 6)
    compare(run_traced(function, x), results_of(function, x), 2e-6)


@pytest.mark.slow
@pytest.mark.parametrize("source", CASES)
def test_compiled_expressions_equal_numpy(source: str) -> None:
    function = eval(f"lambda x: {source}", {"np": np})
    x = sample(source, 4, 6)
    compare(flatten(jit(function)(x))[0], results_of(function, x), 3e-6)
