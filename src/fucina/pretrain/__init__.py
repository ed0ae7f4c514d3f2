"""A base model of one's own: words, pieces of tokens, the loop, and what it is judged by."""

__all__: list[str] = []
