"""The base models and what is put on them: adapters, heads, n-grams, ensembles."""

__all__: list[str] = []
