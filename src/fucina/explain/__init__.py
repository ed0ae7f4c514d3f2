"""Stage 6: which words decided an answer."""
