"""`model.base: scratch`: a small decoder with random weights and a tokenizer of the rows alone.

It knows nothing but what it is trained on, so it is a stand-in to try a recipe where no pretrained
decoder is at hand; any pretrained one writes better.
"""

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from fucina.models.template import CHATML

__all__ = ["make", "tokenizer_of"]

SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
VOCABULARY = 2048
LONGEST = 4096
# Llama's layout, about 4 million weights: as many as a few hundred rows can move in a minute.
SIZE = {
    "hidden_size": 256, "num_hidden_layers": 4, "num_attention_heads": 4,
    "num_key_value_heads": 4, "intermediate_size": 688, "max_position_embeddings": LONGEST,
}  # fmt: skip
SPLIT = r" ?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"  # words with their space, single digits


def make(parent: Path, texts: Sequence[str], *, seed: int) -> Path:
    """Make the model and its tokenizer, unless the same was made before.

    Args:
        parent: Folder that bases are kept in.
        texts: What the tokenizer learns its words from.
        seed: Draws the weights.

    Returns:
        Its folder, named after texts and seed.
    """
    import torch
    import transformers

    from fucina import run

    digest = hashlib.sha256(repr((seed, SIZE, VOCABULARY, sorted(texts))).encode()).hexdigest()
    folder = parent / f"scratch-{digest[:12]}"
    if folder.is_dir():
        return folder
    tokenizer = tokenizer_of(texts)
    config = transformers.LlamaConfig(
        **SIZE, vocab_size=len(tokenizer), tie_word_embeddings=True,
        bos_token_id=None, eos_token_id=2, pad_token_id=0,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = transformers.AutoModelForCausalLM.from_config(config)
    parent.mkdir(parents=True, exist_ok=True)
    transformers.logging.disable_progress_bar()
    made = Path(mkdtemp(dir=parent))
    network.save_pretrained(made)
    tokenizer.save_pretrained(made)
    run.move_whole(made, folder)
    return folder


def tokenizer_of(
    texts: Iterable[str], *, vocabulary: int = VOCABULARY, longest: int = LONGEST
) -> Any:
    """A byte-level tokenizer with ChatML's turns, whose words are those of some texts.

    Args:
        texts: What words are learnt from.
        vocabulary: Tokens at most, special ones included.
        longest: Tokens that its model reads.

    Example:
        >>> made = tokenizer_of(["il faro sul mare"] * 9)
        >>> made.decode(made("il faro è sul mare")["input_ids"])
        'il faro è sul mare'
    """
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(SPLIT), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])  # fmt: skip
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary, special_tokens=list(SPECIAL), show_progress=False, min_frequency=2,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token=SPECIAL[0], eos_token=SPECIAL[2],
        additional_special_tokens=[SPECIAL[1]], chat_template=CHATML.replace("END", "'<|im_end|>'"),
        model_max_length=longest,
    )  # fmt: skip
