"""A graph in eight bits, kept only where it gives the same answers.

Weights are whole numbers with a scale for each column or block of one, tables of tokens one for
each row; what goes into a product is brought to eight bits row by row when it runs. So a text is
answered alike alone and with others, and no part of it that stands out coarsens the rest: one
scale for all that goes into a product, as `quantize_dynamic` of ONNX Runtime has it, measured at
98 % equal answers where this has all of them (docs/log.md).
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fucina.engines.onnx import OnnxLabeller, OnnxMarks
from fucina.engines.onnx_folder import GRAPHS
from fucina.engines.onnx_graph import open_graph
from fucina.export.onnx.graph import save_graph
from fucina.export.onnx.leveled import Leveler, sizes
from fucina.models.tokenize import encode, pad
from fucina.records import Check, Progress, silent

if TYPE_CHECKING:
    from fucina.engines.onnx_folder import Exported

__all__ = ["LEAST_EQUAL", "LEAST_ROWS", "WAYS", "Way", "in_blocks", "narrow"]

LEAST_EQUAL = 0.99  # more than this share of answers must be equal
LEAST_ROWS = 100  # fewer cannot tell 99 % from less
HEAD = "/heads"  # what the nodes of heads are called, which stay as they are
EIGHT_BITS = 4  # MatMulNBits: what goes into the product is brought to eight bits too
DOMAIN = "com.microsoft"


@dataclass(frozen=True)
class Way:
    """What of a graph is put into eight bits.

    Attributes:
        block: Numbers of a column that share a scale: a power of 2, 16 or more; 0 for all of them.
        embeddings: The tables of tokens too, else products alone.
        deep: Products that make more numbers fewer too, whose rows are the most uneven.
        apart: Of what goes into those, how many columns stay in float32: the largest.
    """

    block: int
    embeddings: bool = True
    deep: bool = True
    apart: int = 0

    @property
    def title(self) -> str:
        """For people."""
        tables = "in eight bits" if self.embeddings else "in float32"
        if self.block:
            return f"blocks of {self.block}, tables of tokens {tables}"
        deep = f", {self.apart} columns of products that narrow in float32"
        deep = deep if self.deep else ", products that narrow in float32"
        return f"whole columns, tables of tokens {tables}{deep}"


# Quick before exact: whole columns take half the time of blocks on processors with products of
# bytes, and blocks are as quick as float32 but for single texts (docs/log.md).
WAYS = (
    Way(0, apart=16), Way(0, embeddings=False, apart=48), Way(0, embeddings=False, deep=False),
    Way(128), Way(32), Way(32, embeddings=False),
)  # fmt: skip
LEVELING = 32  # of the texts tell how large columns get; their answers are not looked at


def narrow(
    export: "Exported", folder: Path, prompts: Sequence[str], *, progress: Progress = silent
) -> Check:
    """Write a graph in eight bits beside the one in float32, if it answers alike.

    Ways are tried from the quickest on, and the first with enough equal answers is kept.

    Args:
        export: Opened in float32.
        folder: Where its graph lies.
        prompts: Texts that it did not learn from, 100 or more.
        progress: Told after each way.

    Returns:
        The share of equal answers. Without a limit where nothing was kept, and the note says why.
    """
    import onnx

    if len(prompts) < LEAST_ROWS:
        return _left_out(len(prompts), 0.0, f"it takes {LEAST_ROWS} rows to show it")
    wanted, kept = _answers(export, prompts), folder / GRAPHS["int8"]
    best = 0.0, WAYS[0]
    for done, way in enumerate(WAYS, start=1):
        with tempfile.TemporaryDirectory(dir=folder) as beside:
            made = Path(beside) / kept.name
            whole = onnx.load(str(folder / GRAPHS["float32"]))
            save_graph(_narrowed(whole, way, export, prompts), made)
            small = replace(export, session=open_graph(made), precision="int8")
            share = _share(wanted, _answers(small, prompts))
            del small  # some systems do not move files that are in use
            best = max(best, (share, way), key=lambda one: one[0])
            progress("trying eight bits", done, len(WAYS))
            if share > LEAST_EQUAL:
                for file in Path(beside).iterdir():
                    file.replace(folder / file.name)
                return Check(
                    "answers as in float32", "onnx int8", len(prompts), share, LEAST_EQUAL, True,
                    way.title,
                )  # fmt: skip
    return _left_out(len(prompts), best[0], f"the best way has {best[1].title}")


def _left_out(cases: int, share: float, why: str) -> Check:
    note = f"not written: more than {LEAST_EQUAL:.0%} must be equal; {why}"
    return Check("answers as in float32", "onnx int8", cases, share, None, True, note)


def _answers(export: "Exported", prompts: Sequence[str]) -> list[Any]:
    if export.facts.kind == "labels":
        return OnnxLabeller(export).label(prompts).answers
    return list(OnnxMarks(export).mark(prompts).answers)


def _share(first: Sequence[Any], second: Sequence[Any]) -> float:
    return float(np.mean([one == other for one, other in zip(first, second, strict=True)]))


def _narrowed(model: Any, way: Way, export: "Exported", prompts: Sequence[str]) -> Any:
    """The graph with its weights in eight bits; it is changed."""
    import onnx

    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    kept: dict[str, Any] = {}
    products = {
        node.output[0]: name
        for node in model.graph.node
        if (name := _weight(node, weights)) and node.op_type == "MatMul"
        and not node.name.startswith(HEAD) and (way.deep or not _deep(weights[name]))
    }  # fmt: skip
    leveler = (
        None if way.block else _leveler(model, weights, products, export, prompts, kept, way.apart)
    )
    nodes: list[Any] = []
    for node in model.graph.node:
        name = _weight(node, weights)
        if node.output[0] in products and leveler is not None:
            nodes += leveler.nodes(node, onnx.numpy_helper.to_array(weights[name]))
        elif node.output[0] in products:
            nodes.append(_product(node, weights[name], way.block, kept))
        elif node.op_type == "Gather" and name and way.embeddings:
            nodes += _rows(node, weights[name], kept)
        else:
            nodes.append(node)
    used = {name for node in nodes for name in node.input}
    left = [tensor for tensor in model.graph.initializer if tensor.name in used]
    for field, values in (("node", nodes), ("initializer", [*left, *kept.values()])):
        model.graph.ClearField(field)
        getattr(model.graph, field).extend(values)
    if all(one.domain != DOMAIN for one in model.opset_import):
        model.opset_import.append(onnx.helper.make_opsetid(DOMAIN, 1))
    return model


def _deep(weight: Any) -> bool:
    deep, wide = weight.dims
    return deep > wide


def _leveler(
    model: Any,
    weights: dict[str, Any],
    products: dict[str, str],
    export: "Exported",
    prompts: Sequence[str],
    kept: dict[str, Any],
    apart: int,
) -> Leveler:
    """What levels the products of a graph, as some texts show that it must be done."""
    import onnx

    given: dict[str, list[np.ndarray]] = {}
    for node in model.graph.node:
        if node.output[0] in products:
            weight = onnx.numpy_helper.to_array(weights[products[node.output[0]]])
            given.setdefault(node.input[0], []).append(weight)
    facts = export.facts
    encoded = encode(prompts[:LEVELING], export.words, max_length_tokens=facts.max_length_tokens)
    ids, mask = pad(encoded, np.arange(len(encoded)), facts.pad_id)

    def opened(told: Any) -> Any:
        with tempfile.TemporaryDirectory() as beside:
            save_graph(told, Path(beside) / "told.onnx")
            return open_graph(Path(beside) / "told.onnx")

    return Leveler(sizes(model, list(given), opened, ids, mask), given, kept, apart)


def _weight(node: Any, weights: dict[str, Any]) -> str:
    """The matrix that a node multiplies by, or takes rows of; empty without one."""
    import onnx

    place = {"MatMul": 1, "Gather": 0}.get(node.op_type)
    tensor = None if place is None else weights.get(node.input[place])
    if tensor is None or tensor.data_type != onnx.TensorProto.FLOAT or len(tensor.dims) != 2:
        return ""
    across = [attribute.i for attribute in node.attribute if attribute.name == "axis"]
    return "" if any(across) else tensor.name


def _product(node: Any, weight: Any, block: int, kept: dict[str, Any]) -> Any:
    """The same product by whole numbers."""
    import onnx

    names = [f"{weight.name}.whole", f"{weight.name}.scales"]
    deep, wide = weight.dims
    if names[0] not in kept:
        whole, scales = in_blocks(onnx.numpy_helper.to_array(weight), block)
        for name, array in zip(names, (whole, scales.reshape(-1)), strict=True):
            kept[name] = onnx.numpy_helper.from_array(array, name)
    return onnx.helper.make_node(
        "MatMulNBits", [node.input[0], *names], list(node.output), node.name, domain=DOMAIN,
        K=deep, N=wide, bits=8, block_size=block, accuracy_level=EIGHT_BITS,
    )  # fmt: skip


def in_blocks(weight: np.ndarray, block: int) -> tuple[np.ndarray, np.ndarray]:
    """A matrix as MatMulNBits keeps it in eight bits.

    Args:
        weight: in x out.
        block: Numbers of a column that share a scale.

    Returns:
        Whole numbers from 1 to 255, where 128 is zero, out x blocks x block, and the scales,
        out x blocks: what stands for w is (n - 128) * scale.

    Example:
        >>> whole, scales = in_blocks(np.array([[0.5], [-1.27]]), 16)
        >>> whole[0, 0, :3].tolist(), f"{scales[0, 0]:.2f}"
        ([178, 1, 128], '0.01')
    """
    deep, wide = weight.shape
    count = -(-deep // block)
    parts = np.zeros((wide, count * block), dtype=np.float32)
    parts[:, :deep] = weight.T
    parts = parts.reshape(wide, count, block)
    scales = np.maximum(np.abs(parts).max(axis=2) / 127, 1e-12).astype(np.float32)
    whole = (np.rint(parts / scales[:, :, None]) + 128).astype(np.uint8)
    return whole, scales


def _rows(node: Any, table: Any, kept: dict[str, Any]) -> list[Any]:
    """Rows of a table of whole numbers, times the scale of each."""
    import onnx

    names = [f"{table.name}.whole", f"{table.name}.scales"]
    if names[0] not in kept:
        rows = onnx.numpy_helper.to_array(table)
        scales = np.maximum(np.abs(rows).max(axis=1, keepdims=True) / 127, 1e-12)
        scales = scales.astype(np.float32)
        for name, array in zip(
            names, (np.rint(rows / scales).astype(np.int8), scales), strict=True
        ):
            kept[name] = onnx.numpy_helper.from_array(array, name)
    made, ids, (out,) = onnx.helper.make_node, node.input[1], node.output
    return [
        made("Gather", [names[0], ids], [f"{out}.whole"], f"{node.name}.whole"),
        made("Cast", [f"{out}.whole"], [f"{out}.wide"], f"{node.name}.wide", to=1),
        made("Gather", [names[1], ids], [f"{out}.scale"], f"{node.name}.scale"),
        made("Mul", [f"{out}.wide", f"{out}.scale"], [out], node.name),
    ]
