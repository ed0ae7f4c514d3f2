"""Stage 1: read any labelled file into examples, and say what is wrong with them."""

from fucina.data.check import check, raise_errors
from fucina.data.load import load

__all__ = ["check", "load", "raise_errors"]
