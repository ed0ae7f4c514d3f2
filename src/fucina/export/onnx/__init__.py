"""Classifiers and taggers as ONNX graphs, for ONNX Runtime and all that reads them."""

from fucina.export.onnx.proof import facts_of, prove
from fucina.export.onnx.writing import Written, fill, write

__all__ = ["Written", "facts_of", "fill", "prove", "write"]
