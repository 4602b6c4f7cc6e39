"""The small types of ONNX Runtime's Python API: options, values, bindings, metadata."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import ml_dtypes
import numpy as np

from ix.errors import InputError
from ix.runtime.arrays import as_numpy

__all__ = [
    "GraphOptimizationLevel",
    "IOBinding",
    "ModelMetadata",
    "NodeArg",
    "OrtValue",
    "RunOptions",
    "SessionOptions",
]

# ONNX element type → NumPy dtype and ONNX Runtime's name. Source: onnx.proto.
_TYPES: dict[int, tuple[Any, str]] = {
    1: (np.float32, "float"),
    2: (np.uint8, "uint8"),
    3: (np.int8, "int8"),
    5: (np.int16, "int16"),
    6: (np.int32, "int32"),
    7: (np.int64, "int64"),
    9: (np.bool_, "bool"),
    10: (np.float16, "float16"),
    11: (np.float64, "double"),
    16: (ml_dtypes.bfloat16, "bfloat16"),
    17: (ml_dtypes.float8_e4m3fn, "float8e4m3fn"),
    19: (ml_dtypes.float8_e5m2, "float8e5m2"),
    22: (ml_dtypes.int4, "int4"),
}
_NAMES = {np.dtype(dtype): name for dtype, name in _TYPES.values()}


class GraphOptimizationLevel(enum.IntEnum):
    """Accepted for compatibility: ix always optimises fully."""

    ORT_DISABLE_ALL = 0
    ORT_ENABLE_BASIC = 1
    ORT_ENABLE_EXTENDED = 2
    ORT_ENABLE_LAYOUT = 3
    ORT_ENABLE_ALL = 99


@dataclass
class SessionOptions:
    """Options of a session.

    intra_op_num_threads:  threads of one run; 0: as many as the machine has cores
    use_deterministic_compute, graph_optimization_level and the like are accepted: ix
    is always deterministic and always optimises.
    """

    graph_optimization_level: GraphOptimizationLevel = (
        GraphOptimizationLevel.ORT_ENABLE_ALL
    )
    intra_op_num_threads: int = 0
    inter_op_num_threads: int = 0
    enable_profiling: bool = False
    profile_file_prefix: str = ""
    optimized_model_filepath: str = ""
    use_deterministic_compute: bool = True
    enable_cpu_mem_arena: bool = True
    enable_mem_pattern: bool = True
    log_severity_level: int = 2
    logid: str = ""
    free_dimension_overrides: dict[str, int] = field(default_factory=dict)
    config: dict[str, str] = field(default_factory=dict)

    def add_free_dimension_override_by_name(
        self, dim_name: str, dim_value: int
    ) -> None:
        """Fixes the size of a symbolic dimension."""
        self.free_dimension_overrides[dim_name] = int(dim_value)

    def add_session_config_entry(self, key: str, value: str) -> None:
        """Keeps a configuration entry; ix reads none of ONNX Runtime's."""
        self.config[key] = value

    def get_session_config_entry(self, key: str) -> str:
        """A configuration entry that was added.

        Raises:
            InputError: There is none.
        """
        if key not in self.config:
            raise InputError(f"session options have no entry {key!r}; add it first")
        return self.config[key]


@dataclass
class RunOptions:
    """Options of a run; `terminate` makes it raise instead."""

    terminate: bool = False
    log_severity_level: int = 2
    logid: str = ""
    only_execute_path_to_fetches: bool = False


@dataclass(frozen=True)
class NodeArg:
    """Name, type and shape of an input or output.

    type:    as ONNX Runtime spells it: "tensor(float)"
    shape:   sizes: ints, names of symbolic dimensions, None for an open one
    ranked:  whether the model says how many axes there are
    """

    name: str
    type: str
    shape: list[Any]
    ranked: bool = True
    element: int = 0

    @staticmethod
    def of(info: Any) -> NodeArg:
        """From a ValueInfoProto."""
        tensor = info.type.tensor_type
        _, spelled = _TYPES.get(tensor.elem_type, (None, f"type {tensor.elem_type}"))
        shape = [
            dim.dim_value if dim.HasField("dim_value") else dim.dim_param or None
            for dim in tensor.shape.dim
        ]
        return NodeArg(
            info.name,
            f"tensor({spelled})",
            shape,
            tensor.HasField("shape"),
            tensor.elem_type,
        )

    def __str__(self) -> str:
        sizes = ", ".join("?" if size is None else str(size) for size in self.shape)
        return f"{self.name!r} {self.type}[{sizes if self.ranked else '…'}]"

    def accept(self, value: Any) -> np.ndarray[Any, Any]:
        """The value as an array.

        Raises:
            InputError: Its dtype, rank or a size differs from the model's.
        """
        if isinstance(value, OrtValue):
            value = value.numpy()
        array = as_numpy(value, self.name)
        dtype = np.dtype(_TYPES[self.element][0])
        if array.dtype != dtype:
            raise InputError(
                f"input {self} needs {dtype}, but got {array.dtype}; convert it with "
                "astype"
            )
        if self.ranked and not self._fits(array.shape):
            raise InputError(
                f"input {self} needs that shape, but got {array.shape}; reshape it"
            )
        return array

    def _fits(self, shape: Sequence[int]) -> bool:
        return len(shape) == len(self.shape) and all(
            not isinstance(declared, int) or declared == size
            for declared, size in zip(self.shape, shape, strict=True)
        )


@dataclass(frozen=True)
class ModelMetadata:
    """What a model says about itself."""

    producer_name: str
    graph_name: str
    domain: str
    description: str
    graph_description: str
    version: int
    custom_metadata_map: dict[str, str]

    @staticmethod
    def of(proto: Any) -> ModelMetadata:
        """From a ModelProto."""
        return ModelMetadata(
            proto.producer_name,
            proto.graph.name,
            proto.domain,
            proto.doc_string,
            proto.graph.doc_string,
            proto.model_version,
            {entry.key: entry.value for entry in proto.metadata_props},
        )


class OrtValue:
    """A tensor on the CPU, shared with NumPy."""

    def __init__(self, array: np.ndarray[Any, Any]) -> None:
        self._array = array

    @staticmethod
    def ortvalue_from_numpy(
        numpy_obj: Any, device_type: str = "cpu", device_id: int = 0
    ) -> OrtValue:
        """Wraps a NumPy array; nothing is copied.

        Raises:
            InputError: Another device than the CPU is asked for.
        """
        if device_type != "cpu":
            raise InputError(
                f"an OrtValue needs device 'cpu', but got {device_type!r}; leave the "
                "device out"
            )
        return OrtValue(np.asarray(numpy_obj))

    @staticmethod
    def ortvalue_from_shape_and_type(
        shape: Sequence[int],
        element_type: Any,
        device_type: str = "cpu",
        device_id: int = 0,
    ) -> OrtValue:
        """An uninitialised tensor."""
        array = np.empty(tuple(shape), np.dtype(element_type))
        return OrtValue.ortvalue_from_numpy(array, device_type, device_id)

    @staticmethod
    def from_dlpack(data: Any) -> OrtValue:
        """Wraps anything that speaks DLPack and lies on the CPU."""
        return OrtValue(np.from_dlpack(data))

    def __dlpack__(self, **options: Any) -> Any:
        return self._array.__dlpack__(**options)

    def __dlpack_device__(self) -> Any:
        return self._array.__dlpack_device__()

    def numpy(self) -> np.ndarray[Any, Any]:
        """The tensor as a NumPy array; nothing is copied."""
        return self._array

    def shape(self) -> list[int]:
        """The sizes."""
        return list(self._array.shape)

    def data_type(self) -> str:
        """As ONNX Runtime spells it: "tensor(float)"."""
        return f"tensor({_NAMES.get(self._array.dtype, self._array.dtype)})"

    def element_type(self) -> int:
        """ONNX's number of the element type."""
        for number, (dtype, _) in _TYPES.items():
            if self._array.dtype == dtype:
                return number
        return 0

    def data_ptr(self) -> int:
        """The address of the first element."""
        return int(self._array.ctypes.data)

    def device_name(self) -> str:
        """Always "cpu"."""
        return "cpu"

    def is_tensor(self) -> bool:
        """Always true."""
        return True

    def has_value(self) -> bool:
        """Always true."""
        return True

    def update_inplace(self, array: Any) -> None:
        """Copies an array of the same shape and dtype into the tensor."""
        source = np.asarray(array)
        if source.shape != self._array.shape or source.dtype != self._array.dtype:
            raise InputError(
                f"update_inplace needs {self._array.dtype} {self._array.shape}, but "
                f"got {source.dtype} {source.shape}; convert it"
            )
        np.copyto(self._array, source)


class IOBinding:
    """Inputs and outputs bound to memory, for `run_with_iobinding`."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self.inputs: dict[str, Any] = {}
        self.outputs: dict[str, OrtValue | None] = {}

    def bind_cpu_input(self, name: str, arr_on_cpu: Any) -> None:
        """Binds an input to an array."""
        self.inputs[name] = arr_on_cpu

    def bind_ortvalue_input(self, name: str, ortvalue: OrtValue) -> None:
        """Binds an input to an OrtValue."""
        self.inputs[name] = ortvalue

    def bind_output(self, name: str, device_type: str = "cpu", *_: Any) -> None:
        """Asks for an output in memory of the session's choice."""
        self.outputs[name] = None

    def bind_ortvalue_output(self, name: str, ortvalue: OrtValue) -> None:
        """Asks for an output in the memory of an OrtValue."""
        self.outputs[name] = ortvalue

    def store(self, names: Sequence[str], results: Sequence[Any]) -> None:
        """Puts results where the outputs are bound."""
        for name, result in zip(names, results, strict=True):
            bound = self.outputs.get(name)
            if bound is None:
                self.outputs[name] = OrtValue(result)
            else:
                bound.update_inplace(result)

    def get_outputs(self) -> list[OrtValue]:
        """The outputs of the last run, in the order in which they were bound."""
        return [each for each in self.outputs.values() if each is not None]

    def copy_outputs_to_cpu(self) -> list[np.ndarray[Any, Any]]:
        """The outputs of the last run as arrays."""
        return [each.numpy() for each in self.get_outputs()]

    def clear_binding_inputs(self) -> None:
        """Forgets the bound inputs."""
        self.inputs.clear()

    def clear_binding_outputs(self) -> None:
        """Forgets the bound outputs."""
        self.outputs.clear()

    def synchronize_inputs(self) -> None:
        """Nothing to wait for on the CPU."""

    def synchronize_outputs(self) -> None:
        """Nothing to wait for on the CPU."""
