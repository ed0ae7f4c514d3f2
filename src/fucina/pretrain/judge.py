"""How well a network foretells held-out texts: bits a byte, whatever its tokens are."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from fucina.records import Progress, silent

__all__ = ["bits_a_byte", "continued"]

ROWS = 16  # of a pass


def bits_a_byte(
    network: Any,
    tokens: np.ndarray,
    size: float,
    *,
    length: int,
    begin: int,
    progress: Progress = silent,
) -> float:
    """Minus the sum of log2 of the probability of each token, by the bytes of the text.

    The text is cut into rows of `length`; each token is foretold from those before it in its row,
    the first of a text from the token that ends texts. So each is counted once.

    Args:
        network: A causal language model.
        tokens: T ids.
        size: Bytes of the text in UTF-8.
        length: Tokens of a row.
        begin: The token that stands before and behind texts.
        progress: Told of the rows.
    """
    device = next(network.parameters()).device
    following = tokens.astype(np.int64)
    given = np.concatenate([[begin], following[:-1]])
    rows = math.ceil(len(given) / length)
    nats = 0.0
    with torch.inference_mode():
        for first in range(0, rows, ROWS):
            places = slice(first * length, (first + ROWS) * length)
            ids, targets = _rows(given[places], length, 0), _rows(following[places], length, -100)
            logits = network(input_ids=ids.to(device), use_cache=False).logits
            nats += float(
                functional.cross_entropy(
                    logits.flatten(0, 1).float(), targets.to(device).flatten(), reduction="sum"
                )
            )
            progress("judging held-out texts", min(first + ROWS, rows), rows)
    return nats / math.log(2) / size


def _rows(ids: np.ndarray, length: int, filled: int) -> torch.Tensor:
    """Ids as rows, the last filled up."""
    missing = -len(ids) % length
    return torch.from_numpy(np.pad(ids, (0, missing), constant_values=filled)).view(-1, length)


def continued(
    network: Any, tokenizer: Any, prompts: Sequence[str], *, tokens: int, seed: int
) -> list[str]:
    """What a network writes behind the beginnings of texts, drawn from its 40 likeliest tokens.

    Args:
        network: A causal language model.
        tokenizer: Its tokenizer.
        prompts: Beginnings.
        tokens: At most so many are written.
        seed: Of the draws.
    """
    found = []
    device = next(network.parameters()).device
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for prompt in prompts:
            ids = tokenizer(prompt, return_tensors="pt", add_special_tokens=False)["input_ids"]
            written = network.generate(
                ids.to(device), attention_mask=torch.ones_like(ids).to(device),
                max_new_tokens=tokens, do_sample=True, temperature=0.8, top_k=40,
                eos_token_id=[tokenizer.pad_token_id, tokenizer.eos_token_id],
                pad_token_id=tokenizer.pad_token_id,
            )  # fmt: skip
            found.append(tokenizer.decode(written[0, ids.shape[1] :], skip_special_tokens=True))
    return found
