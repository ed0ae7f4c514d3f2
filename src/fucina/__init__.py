"""Fucina turns a small language model and a small data set into a specialist proven to work.

The stages, in order: `data` reads, `prepare` divides, `train` fits a stack of adapters, `evaluate`
judges on rows never seen; `flow` joins them, `run` remembers, `cli` shows.
"""

__all__ = ["__version__"]

__version__ = "0.1.0"
