"""Stage 6: which words decided an answer, and whether they really did."""

from fucina.explain.weigh import Wanted, explain

__all__ = ["Wanted", "explain"]
