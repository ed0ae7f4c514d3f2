"""Products by whole numbers are close to the real ones, row by row, on every processor."""

import numpy as np
import pytest

from fucina.engines import onnx_graph
from fucina.export.onnx.graph import save_graph
from fucina.export.onnx.leveled import Leveler, sizes

DEEP, WIDE = 64, 24


@pytest.fixture
def product():
    """Weights, and rows of which one column is large all the time."""
    random = np.random.default_rng(0)
    rows = random.normal(size=(2, 5, DEEP)).astype(np.float32)
    rows[:, :, 3] += 40
    return random.normal(size=(DEEP, WIDE)).astype(np.float32), rows


def _graph(weight, large=None, apart=0):
    from onnx import TensorProto, helper, numpy_helper

    node = helper.make_node("MatMul", ["x", "w"], ["y"], "own")
    kept = {"w": numpy_helper.from_array(weight, "w")}
    nodes = [node] if large is None else Leveler(
        {"x": large}, {"x": [weight]}, kept, apart
    ).nodes(node, weight)  # fmt: skip
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, None, DEEP])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)], list(kept.values()),
    )  # fmt: skip
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def _run(model, path, rows):
    save_graph(model, path)
    return onnx_graph.open_graph(path).run(None, {"x": rows})[0]


def test_leveling_brings_products_nearer(product, tmp_path):
    weight, rows = product
    exact, scale = rows @ weight, np.abs(rows @ weight).mean()
    large = np.abs(rows).max(axis=(0, 1))
    off = [
        np.abs(_run(_graph(weight, told), tmp_path / "m.onnx", rows) - exact).mean() / scale
        for told in (large, np.abs(weight).max(axis=1))  # the second levels nothing
    ]
    assert off[0] < 0.6 * off[1]
    assert off[0] < 0.005


def test_the_largest_columns_stay_exact_beside_the_others(product, tmp_path):
    weight, rows = product
    rows[:, :, 7] -= 30 * np.arange(5)  # uneven from row to row, which no leveling makes good
    exact, large = rows @ weight, np.abs(rows).max(axis=(0, 1))
    off = [
        np.abs(_run(_graph(weight, large, apart), tmp_path / "m.onnx", rows) - exact).mean()
        for apart in (0, 2)
    ]
    assert off[1] < 0.8 * off[0]
    wide = np.ascontiguousarray(weight.T[:, :8])  # 24 to 8 narrows, 8 to 24 does not
    assert len(_graph(wide, np.ones(WIDE), 2).graph.node) > len(
        _graph(wide, np.ones(WIDE)).graph.node
    )
    wider = np.ascontiguousarray(wide.T)
    assert len(_graph(wider, np.ones(8), 2).graph.node) == len(_graph(wider, np.ones(8)).graph.node)


def test_a_row_is_the_same_alone_as_with_others(product, tmp_path):
    weight, rows = product
    model = _graph(weight, np.abs(rows).max(axis=(0, 1)))
    together = _run(model, tmp_path / "m.onnx", rows)
    alone = _run(model, tmp_path / "m.onnx", rows[1:, 2:3])
    assert np.array_equal(together[1:, 2:3], alone)


def test_rows_of_nothing_are_nothing(product, tmp_path):
    weight, rows = product
    model = _graph(weight, np.abs(rows).max(axis=(0, 1)))
    assert np.abs(_run(model, tmp_path / "m.onnx", np.zeros_like(rows))).max() < 1e-6


def test_processors_that_would_cut_off_sums_are_asked_for_exact_ones(
    product, tmp_path, monkeypatch
):
    weight, rows = product
    model = _graph(weight, np.abs(rows).max(axis=(0, 1)))
    quick = _run(model, tmp_path / "m.onnx", rows)
    monkeypatch.setattr(onnx_graph, "_cuts_sums", lambda: True)
    assert np.allclose(_run(model, tmp_path / "m.onnx", rows), quick, atol=1e-4)


def test_padding_does_not_tell_how_large_columns_get(tmp_path):
    from onnx import TensorProto, helper

    graph = helper.make_graph(
        [helper.make_node("Cast", ["ids"], ["real"], to=1), helper.make_node(
            "Unsqueeze", ["real", "axis"], ["values"]), helper.make_node("Cast", ["mask"], ["y"], to=1)],
        "g", [helper.make_tensor_value_info(n, TensorProto.INT64, [None, None]) for n in ("ids", "mask")],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [helper.make_tensor("axis", TensorProto.INT64, [1], [2])],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)

    def opened(told):
        save_graph(told, tmp_path / "told.onnx")
        return onnx_graph.open_graph(tmp_path / "told.onnx")

    ids, mask = np.array([[2, 3, 900]]), np.array([[1, 1, 0]])
    assert sizes(model, ["values"], opened, ids, mask)["values"].tolist() == [3.0]
    assert [one.name for one in model.graph.output] == ["y"]
