"""Stage 6: which words decided an answer."""

__all__: list[str] = []
