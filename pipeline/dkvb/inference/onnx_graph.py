"""A classifier as an ONNX graph: features (batch, D) float32 -> logits (batch, L) float32.

The bottleneck is its exact lookup, codebook by codebook: MatMul gives squared distances to the keys but for a term that
all keys of a query share, TopK the nearest, Gather their values. Pairs that may not be selected, masked or never used,
are in no tensor: what is not there is at distance infinity. Of equal distances TopK takes the lower index, as the
model's own lookup does; they are computed in double precision and compared in single, so that keys that are equal are
equal here as well, whatever kernel multiplies them.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from dkvb.errors import UsageError
from dkvb.inference.bottleneck_model import Model
from dkvb.inference.classifier import LinearModel

if TYPE_CHECKING:
    import onnx

INPUT, OUTPUT = "features", "logits"
OPSET, IR = 17, 8
"""Old enough for runtimes of 2022 and later; nothing here needs more."""


def library(module: str = "onnx") -> ModuleType:
    """onnx, or one of its modules.

    Raises:
        UsageError: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError:
        raise UsageError(
            "onnx is not installed: `pip install dkvb[onnx]` brings it and onnxruntime, which runs what it writes."
        ) from None


class Graph:
    """Nodes and tensors, as they are added."""

    def __init__(self) -> None:
        self.helper, self.numpy_helper = library("onnx.helper"), library("onnx.numpy_helper")
        self.nodes: list[Any] = []
        self.tensors: dict[str, Any] = {}
        self.bytes = 0

    def tensor(self, name: str, array: np.ndarray) -> str:
        """Keep a tensor; its name. One of the same name is the same."""
        if name not in self.tensors:
            self.tensors[name] = self.numpy_helper.from_array(np.ascontiguousarray(array), name)
            self.bytes += array.nbytes
        return name

    def add(self, kind: str, inputs: Sequence[str], outputs: str | Sequence[str], **attributes: Any) -> str:
        """Add a node; the name of its last output."""
        names = [outputs] if isinstance(outputs, str) else list(outputs)
        self.nodes.append(self.helper.make_node(kind, list(inputs), names, name=f"{kind}/{names[-1]}", **attributes))
        return names[-1]

    def proto(self, width: int, classes: int) -> onnx.ModelProto:
        """The whole as a model, without metadata."""
        single = library().TensorProto.FLOAT
        ends = [
            self.helper.make_tensor_value_info(name, single, ["batch", size])
            for name, size in ((INPUT, width), (OUTPUT, classes))
        ]
        graph = self.helper.make_graph(self.nodes, "dkvb", ends[:1], ends[1:], list(self.tensors.values()))
        opset = self.helper.make_opsetid("", OPSET)
        return self.helper.make_model(graph, producer_name="dkvb", opset_imports=[opset], ir_version=IR)


def linear(model: LinearModel, kept: Sequence[int], excluded: Sequence[int]) -> Graph:
    """A linear head, of some places of the logits; `excluded` places among these are minus infinity."""
    graph = Graph()
    weight, bias = graph.tensor("weight", model.weight[kept]), graph.tensor("bias", model.bias[kept])
    logits = graph.add("Gemm", [INPUT, weight, bias], OUTPUT if not excluded else "all_logits", transB=1)
    _exclude(graph, logits, excluded, len(kept))
    return graph


def bottleneck(model: Model, kept: Sequence[int], excluded: Sequence[int]) -> Graph:
    """A key-value bottleneck under its mask, of some places of the logits; `excluded` places among these are minus
    infinity."""
    graph = Graph()
    queries = _queries(graph, model)
    total = ""
    for codebook in np.flatnonzero(model.allowed.any(1)).tolist():  # one without any allowed pair casts no vote
        votes = _votes(graph, model, codebook, queries[codebook], kept)
        total = graph.add("Add", [total, votes], f"total_{codebook}") if total else votes
    if not total:
        nothing = graph.tensor("nothing", np.zeros((model.width, len(kept)), np.float32))
        total = graph.add("MatMul", [INPUT, nothing], "total")
    codebooks = graph.tensor("codebooks", np.array(len(model.keys), np.float32))
    logits = graph.add("Div", [total, codebooks], OUTPUT if not excluded else "all_logits")
    _exclude(graph, logits, excluded, len(kept))
    return graph


def _queries(graph: Graph, model: Model) -> list[str]:
    """Centred queries (batch, d) float64 of every codebook."""
    codebooks, width, dim = model.projection.shape
    projection = graph.tensor("projection", model.projection.transpose(1, 0, 2).reshape(width, -1))
    centre = graph.tensor("centre", model.centre.reshape(-1))
    projected = graph.add("MatMul", [INPUT, projection], "projected")
    centred = graph.add("Sub", [projected, centre], "centred")
    double = graph.add("Cast", [centred], "all_queries", to=library().TensorProto.DOUBLE)
    names = [f"query_{codebook}" for codebook in range(codebooks)]
    graph.add("Split", [double, graph.tensor("dims", np.full(codebooks, dim, np.int64))], names, axis=1)
    return names


def _votes(graph: Graph, model: Model, codebook: int, query: str, kept: Sequence[int]) -> str:
    """The values (batch, L) that one codebook pools over the nearest allowed keys of its queries."""
    allowed = np.flatnonzero(model.allowed[codebook])
    keys = model.keys[codebook, allowed] - model.centre[codebook]
    values = model.values[codebook, allowed].take(kept, axis=1)
    k, name, proto = min(model.top_k, len(allowed)), str(codebook), library().TensorProto
    twice = graph.tensor(f"twice_keys_{name}", (2 * keys).T)
    norms = graph.tensor(f"norms_{name}", (keys.astype(np.float64) ** 2).sum(1))
    double = graph.add("Cast", [twice], f"twice_keys_double_{name}", to=proto.DOUBLE)
    product = graph.add("MatMul", [query, double], f"product_{name}")
    far = graph.add("Sub", [norms, product], f"far_{name}")  # the distance, squared, without the query's own norm
    distance = graph.add("Cast", [far], f"distance_{name}", to=proto.FLOAT)
    many = graph.tensor(f"k_{k}", np.array([k], np.int64))
    found = graph.add("TopK", [distance, many], [f"least_{name}", f"ids_{name}"], axis=1, largest=0, sorted=1)
    chosen = graph.add("Gather", [graph.tensor(f"values_{name}", values), found], f"chosen_{name}", axis=0)
    pooled = graph.add("ReduceSum", [chosen, graph.tensor("over", np.array([1]))], f"pooled_{name}", keepdims=0)
    if model.pool == "sum" or k == 1:
        return pooled
    return graph.add("Div", [pooled, graph.tensor(f"share_{k}", np.array(k, np.float32))], f"votes_{name}")


def _exclude(graph: Graph, logits: str, places: Sequence[int], classes: int) -> None:
    """Set some places of the logits to minus infinity."""
    if places:
        never = np.zeros(classes, np.float32)
        never[list(places)] = -np.inf
        graph.add("Add", [logits, graph.tensor("never", never)], OUTPUT)
