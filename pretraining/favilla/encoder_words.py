"""Words of an encoder for two languages: all of the English one, and Italian ones."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from tokenizers import Tokenizer, models, trainers

__all__ = ["bilingual", "rows_for", "used", "words_of"]

SELDOM = 20  # a word is Italian if it is that much rarer in English


def bilingual(
    old: Any,
    forms: Iterable[str],
    english: Mapping[str, int],
    italian: Mapping[str, int],
    size: int,
) -> Any:
    """A WordPiece tokenizer with all words of another, and Italian ones.

    An Italian word that also occurs in English texts, as a piece of one of theirs, is left out, so
    English is read as before.

    Args:
        old: Tokenizer of transformers whose words are English.
        forms: Italian words to have.
        english: Words that are to be read as before, counted.
        italian: Words that further tokens are learnt from, counted.
        size: Tokens.

    Returns:
        A tokenizer of transformers.
    """
    backend = old.backend_tokenizer
    before = old.get_vocab()
    known = [word for word in sorted(before, key=before.get) if not word.startswith("[unused")]
    learnt = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    learnt.normalizer, learnt.pre_tokenizer = backend.normalizer, backend.pre_tokenizer
    learnt.train_from_iterator(
        (" ".join([word] * count) for word, count in italian.items()),
        trainers.WordPieceTrainer(vocab_size=size - len(known) + 8000, show_progress=False),
    )
    # A trained vocabulary is in the order of its merges: the most frequent first.
    ranked = sorted(learnt.get_vocab().items(), key=lambda pair: pair[1])
    new = list(dict.fromkeys([*forms, *(word for word, _ in ranked)]))
    new = [word for word in new if word not in before]
    while True:  # without a word, a part of it may come into the same English one
        made = _with(old, [*known, *new][:size])
        here, there = used(made, english), used(made, italian)
        here = {word: here[word] for word in new if here[word]}
        taken = {word for word, n in here.items() if n * SELDOM > there[word] + SELDOM}
        if not taken:
            return made
        new = [word for word in new if word not in taken]


def words_of(old: Any, texts: Iterable[str]) -> Counter[str]:
    """How often each word is in texts, as the tokenizer parts them before it looks for tokens."""
    backend = old.backend_tokenizer
    parts, normal = backend.pre_tokenizer.pre_tokenize_str, backend.normalizer.normalize_str
    return Counter(word for text in texts for word, _ in parts(normal(text)))


def used(tokenizer: Any, words: Mapping[str, int]) -> Counter[str]:
    """How often each token is in words that were counted."""
    found: Counter[str] = Counter()
    read = tokenizer.backend_tokenizer.encode_batch(list(words), add_special_tokens=False)
    for tokens, count in zip(read, words.values(), strict=True):
        for token in tokens.tokens:
            found[token] += count
    return found


def _with(old: Any, words: list[str]) -> Any:
    """A tokenizer that reads texts as the old one does, but for its words."""
    from transformers import PreTrainedTokenizerFast

    made = json.loads(old.backend_tokenizer.to_str())
    made["model"]["vocab"] = {word: number for number, word in enumerate(words)}
    numbers = made["model"]["vocab"]
    for token in made["added_tokens"]:
        token["id"] = numbers[token["content"]]
    for name, token in made["post_processor"].get("special_tokens", {}).items():
        token["ids"] = [numbers[name]]
    for name in {"cls", "sep"} & set(made["post_processor"]):
        word = made["post_processor"][name][0]
        made["post_processor"][name] = [word, numbers[word]]
    made["padding"] = made["truncation"] = None
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
