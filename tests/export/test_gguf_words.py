"""llama.cpp makes the tokens of a GGUF file as the tokenizer it was written from does."""

import json

import pytest
import torch

from fucina.errors import ModelError
from fucina.export import gguf
from fucina.export.gguf import presplit, vocabulary

pytest.importorskip("gguf")
CORPUS = [
    "Il pacco non è arrivato: quando arriva? L'ordine 12345, del 3/10, dell'altro ieri.",
    "I don't know, it's what they've said; we'll see.  SELECT name FROM t WHERE x = 'uno';",
    "def f(x):\n    return x + 1\n\n\nperché così… città, già più 100.000 €\t(ok)\n",
] * 3
TEXTS = [
    *CORPUS[:3],
    "Perché l'un l'altro? «Città» 👍🏽 naïve",
    "I'LL we'll WE'Ve x's 'sono' \"'tutto\"",
    "  due spazi   tre\n\n\nrighe \n \t fine  ",
    "1234567 12 1 a1b22c333 x=10%",
    "",
    " ",
    "\n",
    "日本語 テスト ελληνικά",
    "(ciao) [x] {y} -- !!! ...\r\nriga",
]


def _save(tokenizer, folder):
    """A network of one layer for a tokenizer, as only the tokens matter."""
    import transformers

    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=1, num_attention_heads=4,
        intermediate_size=32, max_position_embeddings=512, tie_word_embeddings=True,
    )  # fmt: skip
    transformers.LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _bytes_merged(pre_tokenizer, folder, **model):
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE(**model))
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=520, special_tokens=["<|im_start|>", "<|im_end|>"], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), min_frequency=1,
    )  # fmt: skip
    tokenizer.train_from_iterator(CORPUS + TEXTS, trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|im_end|>")
    return _save(fast, folder)


def _cut(pattern):
    from tokenizers import Regex, pre_tokenizers

    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )


def _smollm():
    from tokenizers import pre_tokenizers

    return pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), _gpt2()])


def _gpt2():
    from tokenizers import pre_tokenizers

    return pre_tokenizers.ByteLevel(add_prefix_space=False)


CUTS = {
    "gpt-2": (_gpt2, {}),
    "smollm": (_smollm, {}),
    "qwen2": (lambda: _cut(presplit.QWEN2), {}),
    "llama-bpe": (lambda: _cut(presplit.LLAMA3), {"ignore_merges": True}),
    "smaug-bpe": (lambda: _cut(presplit.LLAMA3), {}),
}


def _differing(folder, path, texts):
    """Texts whose tokens llama.cpp makes otherwise."""
    from transformers import AutoTokenizer

    from fucina.engines.llama_model import LlamaModel

    tokenizer, model = AutoTokenizer.from_pretrained(folder), LlamaModel(path, threads=1)
    try:
        return [
            text
            for text in texts
            if model.tokens(text) != tokenizer(text, add_special_tokens=False)["input_ids"]
        ]
    finally:
        model.close()


@pytest.mark.parametrize("name", CUTS)
def test_bytes_are_merged_into_the_same_tokens(name, tmp_path):
    pytest.importorskip("llama_cpp")
    cut, model = CUTS[name]
    folder = _bytes_merged(cut(), tmp_path / "base", **model)
    written = gguf.write(folder, tmp_path / "a.gguf", "F16")
    assert not written.notes
    chat = "<|im_start|>user\nciao<|im_end|>\n<|im_start|>assistant\n"
    assert _differing(folder, written.path, [*TEXTS, chat]) == []


def test_the_cut_of_fucina_differs_where_it_is_told(tmp_path):
    pytest.importorskip("llama_cpp")
    folder = _bytes_merged(_cut(presplit.FUCINA), tmp_path / "base")
    written = gguf.write(folder, tmp_path / "a.gguf", "F16")
    assert "single quotes" in written.notes[0]
    assert _differing(folder, written.path, TEXTS) == []
    assert _differing(folder, written.path, ["'tutto e", "ha detto 'tutto e"]) == ["'tutto e"]


def test_a_cut_that_llama_cpp_lacks_is_refused():
    steps = {"type": "Sequence", "pretokenizers": [
        {"type": "Split", "pattern": {"Regex": r"\w+|\W+"}, "behavior": "Isolated"},
        {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False},
    ]}  # fmt: skip
    with pytest.raises(ModelError, match="no way to cut text"):
        presplit.cut_of(steps, whole_words=False)
    qwen = {**steps["pretokenizers"][0], "pattern": {"Regex": presplit.QWEN2}}
    known = {"type": "Sequence", "pretokenizers": [qwen, steps["pretokenizers"][1]]}
    assert presplit.cut_of(known, whole_words=False).name == "qwen2"
    with pytest.raises(ModelError, match="no way to cut text"):
        presplit.cut_of(known, whole_words=True)


GEMMA = (
    "{{ bos_token }}{% for m in messages %}<start_of_turn>{{ m.role }}\n{{ m.content }}"
    "<end_of_turn>\n{% endfor %}{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
MISTRAL = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}[INST] {{ m.content }} [/INST]"
    "{% else %} {{ m.content }}{{ eos_token }}{% endif %}{% endfor %}"
)


def _pieces(kind, folder, *, whole=True):
    """A tokenizer like those that are made of SentencePiece's: all pairs of a piece are merges."""
    from tokenizers import (
        AddedToken,
        Regex,
        Tokenizer,
        decoders,
        models,
        normalizers,
        pre_tokenizers,
        trainers,
    )  # fmt: skip
    from transformers import PreTrainedTokenizerFast

    learner = Tokenizer(models.BPE())
    learner.pre_tokenizer = pre_tokenizers.Split(Regex("▁"), "merged_with_next")
    trainer = trainers.BpeTrainer(vocab_size=420, show_progress=False, min_frequency=1)
    learner.train_from_iterator([text.replace(" ", "▁") for text in CORPUS + TEXTS], trainer)
    learnt = json.loads(learner.to_str())["model"]["vocab"]
    special = ["<unk>", "<s>", "</s>", "<start_of_turn>", "<end_of_turn>"]
    order = [*special, *(f"<0x{byte:02X}>" for byte in range(256)), *learnt]
    vocabulary = {token: number for number, token in enumerate(order)}
    made = [token for token in learnt if len(token) > 1]
    pairs = [
        (token[:at], token[at:])
        for token in made
        for at in range(1, len(token))
        if token[:at] in vocabulary and token[at:] in vocabulary
    ]
    pairs = pairs if whole else pairs[:-3] + pairs[-1:]
    tokenizer = Tokenizer(
        models.BPE(vocabulary, pairs, unk_token="<unk>", byte_fallback=True, fuse_unk=True)
    )
    blanks = normalizers.Replace(" ", "▁")
    if kind == "gemma":
        tokenizer.normalizer = blanks
        tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    else:
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), blanks])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    tokenizer.add_special_tokens([AddedToken(text, normalized=False) for text in special])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>",
    )  # fmt: skip
    fast.chat_template = GEMMA if kind == "gemma" else MISTRAL
    return _save(fast, folder)


@pytest.mark.parametrize("kind", ["gemma", "mistral"])
def test_pieces_are_joined_into_the_same_tokens(kind, tmp_path):
    pytest.importorskip("llama_cpp")
    folder = _pieces(kind, tmp_path / "base")
    written = gguf.write(folder, tmp_path / "a.gguf", "F16")
    assert written.adds_begin
    chat = "<s><start_of_turn>user\nciao  a te<end_of_turn>\n<start_of_turn>model\n"
    assert _differing(folder, written.path, [*TEXTS, chat, "漢字 ȝ is written as bytes"]) == []


def test_merges_that_are_not_those_of_pieces_are_refused(tmp_path):
    folder = _pieces("gemma", tmp_path / "base", whole=False)
    with pytest.raises(ModelError, match="not SentencePiece's"):
        gguf.write(folder, tmp_path / "a.gguf")


def test_a_prompt_begins_as_the_template_writes_it(tmp_path):
    """Whatever the tokenizer does with a text alone."""
    folder = _pieces("gemma", tmp_path / "base")
    words = vocabulary.read_vocabulary(folder, 10_000)
    assert words.facts["add_bos_token"]
    assert words.end == "<end_of_turn>"
    assert words.tokens[words.facts["eot_token_id"]] == "<end_of_turn>"
    assert words.tokens[words.facts["eos_token_id"]] == "</s>"
    bare = vocabulary.read_vocabulary(folder, 10_000, GEMMA.removeprefix("{{ bos_token }}"))
    assert not bare.facts["add_bos_token"]
    assert words.types[words.tokens.index("<0x0A>")] == vocabulary.BYTE
    assert words.types[-1] == vocabulary.UNUSED
