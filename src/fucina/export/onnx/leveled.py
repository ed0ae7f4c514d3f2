"""Products by whole numbers with a scale for each row and each column, the quickest of eight bits.

What goes into a product is brought to 0 to 255 row by row, between its own least and its own
largest number. Columns of which some are large all the time would leave the others few steps, so
they are leveled first: divided by a power of how large they get, which the weights make good.
The few largest columns of what goes into products that narrow stay in float32 beside it.
Sources: of the leveling Xiao et al., 2022, SmoothQuant, https://arxiv.org/abs/2211.10438; of the
columns apart Dettmers et al., 2022, LLM.int8(), https://arxiv.org/abs/2208.07339
"""

import copy
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

__all__ = ["Leveler", "sizes"]

DOMAIN = "com.microsoft"
SHARED = {
    "rows.one": np.float32(1), "rows.zero": np.uint8(0), "rows.steps": np.float32(255),
    "rows.least": np.float32(1e-12),
}  # fmt: skip
HALF = 0.5  # of the unevenness goes to the weights; 0.4 and 0.7 measured no better


def sizes(
    model: Any,
    names: list[str],
    opened: "Callable[[Any], InferenceSession]",
    ids: np.ndarray,
    mask: np.ndarray,
) -> dict[str, np.ndarray]:
    """How large the columns of some values of a graph get.

    Args:
        model: The graph; it stays as it is.
        names: Of the values, n x L x d each, or n x d.
        opened: Makes a graph ready to run.
        ids: n x L tokens.
        mask: n x L, 1 where there is one.

    Returns:
        Name to d numbers above 0.
    """
    import onnx

    told = copy.deepcopy(model)
    told.graph.ClearField("output")
    told.graph.output.extend(
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in names
    )
    found: Any = opened(told).run(names, {"ids": ids, "mask": mask})
    seen = mask.astype(bool)
    large = {}
    for name, values in zip(names, found, strict=True):
        # What is pooled already has no padding.
        rows = values[seen] if values.shape[:2] == mask.shape else values
        large[name] = np.maximum(np.abs(rows.reshape(-1, rows.shape[-1])).max(axis=0), 1e-6)
    return large


class Leveler:
    """Remembers what was leveled: products of the same values share it.

    Args:
        large: Name of what goes into a product to how large its columns get.
        weights: The same to the weights that it is multiplied by, in x out each.
        kept: Where constants of the graph go.
        apart: How many columns stay in float32 where a product narrows.
    """

    def __init__(
        self,
        large: Mapping[str, np.ndarray],
        weights: Mapping[str, list[np.ndarray]],
        kept: dict[str, Any],
        apart: int = 0,
    ) -> None:
        self._kept, self._done = kept, set[str]()
        self._apart = {
            name: np.sort(np.argsort(-large[name])[: apart if _narrows(each[0]) else 0])
            for name, each in weights.items()
        }
        self._level = {
            name: _level(large[name], np.max([np.abs(own).max(axis=1) for own in each], axis=0))
            for name, each in weights.items()
        }
        for name, number in SHARED.items():
            self._keep(name, np.asarray(number))

    def nodes(self, node: Any, weight: np.ndarray) -> list[Any]:
        """A product of what goes into a node by a weight, in x out, by whole numbers."""
        import onnx

        given, out, make = node.input[0], node.output[0], onnx.helper.make_node
        nodes = [] if given in self._done else self._whole(given)
        level = self._level[given]
        leveled = weight * level[:, None]
        leveled[self._apart[given]] = 0
        scales = np.maximum(np.abs(leveled).max(axis=0) / 127, 1e-12).astype(np.float32)
        whole = np.rint(leveled / scales).astype(np.int8)
        own = f"{out}.rows"
        self._keep(f"{own}.whole", whole)
        self._keep(f"{own}.scales", scales)
        self._keep(f"{own}.none", np.asarray(np.int8(0)))
        # What stands for the least number of a row in every column of the product.
        self._keep(f"{own}.floor", whole.astype(np.float32).sum(axis=0) * scales)
        return [
            *nodes,
            make("MatMulIntegerToFloat",
                 [f"{given}.bytes", f"{own}.whole", "rows.one", f"{own}.scales", "rows.zero",
                  f"{own}.none"], [f"{own}.product"], node.name, domain=DOMAIN),
            make("Mul", [f"{own}.product", f"{given}.step"], [f"{own}.scaled"], f"{own}.1"),
            make("Mul", [f"{given}.low", f"{own}.floor"], [f"{own}.lifted"], f"{own}.2"),
            *self._sum(node, weight),
        ]  # fmt: skip

    def _sum(self, node: Any, weight: np.ndarray) -> list[Any]:
        """The parts of a product put together: with that of the columns apart, where there are."""
        import onnx

        given, out, make = node.input[0], node.output[0], onnx.helper.make_node
        own, apart = f"{out}.rows", self._apart[given]
        parts = [f"{own}.scaled", f"{own}.lifted"]
        if not len(apart):
            return [make("Add", parts, [out], f"{own}.3")]
        self._keep(f"{own}.apart", weight[apart])
        return [
            make("Add", parts, [f"{own}.most"], f"{own}.3"),
            make("MatMul", [f"{given}.apart", f"{own}.apart"], [f"{own}.few"], f"{own}.4"),
            make("Add", [f"{own}.most", f"{own}.few"], [out], f"{own}.5"),
        ]

    def _whole(self, given: str) -> list[Any]:
        """What goes into products as whole numbers, with the least and the step of each row."""
        import onnx

        self._done.add(given)
        even, apart = (1 / self._level[given]).astype(np.float32), self._apart[given]
        even[apart] = 0
        self._keep(f"{given}.even", even)
        steps: list[tuple[str, tuple[str, ...], str, dict[str, Any]]] = [
            ("Mul", (given, f"{given}.even"), "leveled", {}),
            ("ReduceMax", (f"{given}.leveled",), "high", {"axes": [-1]}),
            ("ReduceMin", (f"{given}.leveled",), "low", {"axes": [-1]}),
            ("Sub", (f"{given}.high", f"{given}.low"), "range", {}),
            ("Max", (f"{given}.range", "rows.least"), "wide", {}),
            ("Div", (f"{given}.wide", "rows.steps"), "step", {}),
            ("Sub", (f"{given}.leveled", f"{given}.low"), "lifted", {}),
            ("Div", ("rows.steps", f"{given}.wide"), "steps", {}),  # to divide all takes longer
            ("Mul", (f"{given}.lifted", f"{given}.steps"), "real", {}),
            ("QuantizeLinear", (f"{given}.real", "rows.one", "rows.zero"), "bytes", {}),
        ]
        if len(apart):
            self._keep(f"{given}.places", apart.astype(np.int64))
            steps.append(("Gather", (given, f"{given}.places"), "apart", {"axis": -1}))
        return [
            onnx.helper.make_node(kind, list(put), [f"{given}.{name}"], f"{given}.{name}", **more)
            for kind, put, name, more in steps
        ]

    def _keep(self, name: str, array: np.ndarray) -> None:
        import onnx

        self._kept[name] = onnx.numpy_helper.from_array(array, name)


def _narrows(weight: np.ndarray) -> bool:
    """Whether a product makes more numbers fewer: in them few columns are far larger."""
    return weight.shape[0] > weight.shape[1]


def _level(large: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """What columns are divided by, 1 in the geometric mean.

    Example:
        >>> _level(np.array([16.0, 1.0]), np.array([1.0, 1.0])).tolist()
        [2.0, 0.5]
    """
    level = large**HALF / np.maximum(weight, 1e-6) ** (1 - HALF)
    return (level / np.exp(np.log(level).mean())).astype(np.float32)
