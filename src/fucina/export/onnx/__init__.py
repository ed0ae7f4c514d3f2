"""Classifiers and taggers as ONNX graphs, for ONNX Runtime and all that reads them."""

from fucina.export.onnx.writing import write

__all__ = ["write"]
