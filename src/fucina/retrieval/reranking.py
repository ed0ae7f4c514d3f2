"""Sort what was found anew with a cross-encoder, which reads question and chunk together."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fucina.errors import ModelError

__all__ = ["open_reranker"]

AT_ONCE = 16  # pairs that are read together


def open_reranker(name: str) -> Callable[[str, Sequence[str]], np.ndarray]:
    """Load a cross-encoder; gives a function of a question and n texts to n scores.

    Args:
        name: Folder or hub id of a model of transformers that classifies pairs into one class (its
            logit is the score) or two (the second is "fits").

    Raises:
        ModelError: It cannot be had, or has other classes.
    """
    import torch
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    try:
        tokenizer: Any = transformers.AutoTokenizer.from_pretrained(name, trust_remote_code=False)
        network: Any = transformers.AutoModelForSequenceClassification.from_pretrained(
            name, trust_remote_code=False, use_safetensors=True
        )
    except (OSError, ValueError) as error:
        raise ModelError(
            f"rerank: {name} cannot be had ({str(error).splitlines()[0][:120]}).",
            fix="Give a folder or hub id with config.json, tokenizer and *.safetensors, such as "
            "cross-encoder/ms-marco-MiniLM-L6-v2.",
        ) from error
    network.eval()
    classes = network.config.num_labels
    if classes > 2:
        raise ModelError(
            f"rerank: {name} has {classes} classes, so it is no cross-encoder for search.",
            fix="Give one with one or two, such as cross-encoder/ms-marco-MiniLM-L6-v2.",
        )
    most = min(tokenizer.model_max_length, network.config.max_position_embeddings)

    def scores(question: str, texts: Sequence[str]) -> np.ndarray:
        found = []
        with torch.no_grad():
            for begin in range(0, len(texts), AT_ONCE):
                part = list(texts[begin : begin + AT_ONCE])
                batch = tokenizer(
                    [question] * len(part), part, padding=True, truncation="only_second",
                    max_length=most, return_tensors="pt",
                )  # fmt: skip
                found.append(network(**batch).logits[:, classes - 1].float())
        return torch.cat(found).numpy()

    return scores
