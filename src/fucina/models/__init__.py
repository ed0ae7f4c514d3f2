"""The base models and what is put on them: adapters, heads, n-grams, ensembles."""
