"""Words of an encoder for two languages: those English ones that are used, and Italian ones."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from tokenizers import Tokenizer, models, trainers

__all__ = ["bilingual", "rows_for"]

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def bilingual(
    old: Any, english: Iterable[str], italian: Iterable[str], size: int, share: float
) -> Any:
    """A WordPiece tokenizer with the most used English words of another, and Italian ones.

    Used most here or in what the old one was made of: few of our texts speak of banks or travel.

    Args:
        old: Tokenizer of transformers whose words are English.
        english: Texts that say which of its words are used.
        italian: Texts that new words are learnt from.
        size: Tokens.
        share: Of them, kept of the old.

    Returns:
        A tokenizer of transformers that reads texts as the old one does.
    """
    backend = old.backend_tokenizer
    used = Counter(
        token for text in english for token in backend.encode(text, add_special_tokens=False).tokens
    )
    letters = [t for t in old.get_vocab() if len(t.removeprefix("##")) == 1 and ord(t[-1]) < 0x250]
    # BERT's words stand in the order of how often they are in books and Wikipedia.
    general = sorted(old.get_vocab().items(), key=lambda pair: pair[1])
    general = [t for t, _ in general if len(t) > 1 and t.isascii() and not t.startswith("[")]
    places = {token: place for place, (token, _) in enumerate(used.most_common())}
    last = len(general)
    ranked = sorted(
        (min(place, places.get(token, last)), token) for place, token in enumerate(general)
    )
    words = list(dict.fromkeys([*SPECIAL, *letters, *(token for _, token in ranked)]))
    words = words[: round(size * share)]
    learnt = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    learnt.normalizer, learnt.pre_tokenizer = backend.normalizer, backend.pre_tokenizer
    learnt.train_from_iterator(
        italian, trainers.WordPieceTrainer(vocab_size=size, show_progress=False)
    )
    # A trained vocabulary is in the order of its merges: the most frequent first.
    new = sorted(learnt.get_vocab().items(), key=lambda pair: pair[1])
    words = list(dict.fromkeys([*words, *(word for word, _ in new)]))[:size]
    made = json.loads(backend.to_str())
    made["model"]["vocab"] = {word: number for number, word in enumerate(words)}
    numbers = made["model"]["vocab"]
    for token in made["added_tokens"]:
        token["id"] = numbers[token["content"]]
    for name, token in made["post_processor"].get("special_tokens", {}).items():
        token["ids"] = [numbers[name]]
    if "cls" in made["post_processor"]:
        for name in ("cls", "sep"):
            word = made["post_processor"][name][0]
            made["post_processor"][name] = [word, numbers[word]]
    made["padding"] = made["truncation"] = None
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(made)), model_max_length=512,
        pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]",
        mask_token="[MASK]",
    )  # fmt: skip


def rows_for(new: Any, old: Any, rows: torch.Tensor, english: Mapping[str, str]) -> torch.Tensor:
    """Rows of new words: of what they are in English, of the same word, or the mean of its pieces.

    Args:
        new: Tokenizer.
        old: Tokenizer that `rows` are of.
        rows: v x d.
        english: What whole Italian words are in English.
    """
    known, found = old.get_vocab(), []
    for word, _ in sorted(new.get_vocab().items(), key=lambda pair: pair[1]):
        if word in known:
            found.append(rows[known[word]])
        else:
            said = english.get(word, word.removeprefix("##"))
            pieces = old(said, add_special_tokens=False)["input_ids"]
            found.append(rows[pieces].mean(dim=0))
    return torch.stack(found)
