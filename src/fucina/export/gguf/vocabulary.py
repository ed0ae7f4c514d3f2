"""A tokenizer as llama.cpp reads it: tokens, how they join, special ones, the chat template."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fucina.errors import ModelError
from fucina.export.gguf.presplit import cut_of
from fucina.models.template import Template, open_template
from fucina.records import Message

__all__ = ["Vocabulary", "read_vocabulary"]

# Of gguf.TokenType, which is not imported for five numbers.
NORMAL, UNKNOWN, CONTROL, OWN, UNUSED, BYTE = 1, 2, 3, 4, 5, 6
# A variable that training gives to templates, and a mark that transformers alone understands.
END = re.compile(r"(?<![\w|<'\"])END(?![\w|>'\"])")
GENERATION = re.compile(r"(\{%-?\s*)(end)?generation(\s*-?%\})")


@dataclass(frozen=True)
class Vocabulary:
    """Everything of a tokenizer that stands in a GGUF file.

    Attributes:
        model: `gpt2` where bytes are merged, `llama` where SentencePiece's pieces are.
        tokens: The n tokens.
        types: What each is: normal, special, a byte…
        facts: Other keys below `tokenizer.ggml.` to their values.
        template: The chat template, which needs nothing but what llama.cpp gives it.
        end: The token that ends an answer.
        notes: Where llama.cpp's tokens are others than the tokenizer's.
    """

    model: str
    tokens: Sequence[str]
    types: Sequence[int]
    facts: Mapping[str, Any]
    template: str
    end: str
    notes: tuple[str, ...] = ()


def read_vocabulary(folder: Path, size: int, template: str | None = None) -> Vocabulary:
    """Read the tokenizer of a checkpoint.

    Args:
        folder: With its tokenizer.json.
        size: How many tokens the network has.
        template: Jinja; None for the tokenizer's own, or else ChatML, as training takes it.

    Raises:
        ModelError: It cannot be read, or llama.cpp would make other tokens.
    """
    raw = _raw(folder)
    tokenizer = _load(folder)
    chat = open_template(tokenizer)
    if template is not None:
        chat = Template(tokenizer, template, "given")
    tokens, types = _tokens(raw, size)
    model = raw["model"]
    if model.get("type") != "BPE":
        raise ModelError(
            f"{folder} has a tokenizer of the kind {model.get('type')}; GGUF files of decoders "
            "hold merged bytes or SentencePiece's pieces.",
            fix="Use a base with a BPE tokenizer, or serve it with the built-in engine.",
        )
    merges = [_pair(merge) for merge in model["merges"]]
    if model.get("byte_fallback"):
        kind, facts, notes = _pieces(raw, tokens, types, merges)
        types = [_type_of_piece(*own) for own in zip(tokens, types, strict=True)]
    else:
        cut = cut_of(raw.get("pre_tokenizer"), whole_words=bool(model.get("ignore_merges")))
        kind, notes = "gpt2", tuple(filter(None, (cut.differs, _normalized(raw))))
        facts = {"pre": cut.name, "merges": [" ".join(pair) for pair in merges]}
    return Vocabulary(
        kind, tokens, types, {**facts, **_special(chat)}, _alone(chat), chat.end, notes
    )


def _raw(folder: Path) -> Mapping[str, Any]:
    try:
        return json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(
            f"{folder / 'tokenizer.json'} cannot be read: {error}.",
            fix="Give a folder with a fast tokenizer, as save_pretrained writes it.",
        ) from error


def _load(folder: Path) -> Any:
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # the tokenizers library raises nothing more special
        raise ModelError(
            f"the tokenizer in {folder} cannot be loaded: {str(error).splitlines()[0][:200]}.",
            fix="Restore its files, or export the model again.",
        ) from error


def _tokens(raw: Mapping[str, Any], size: int) -> tuple[list[str], list[int]]:
    """All tokens of the network, those it never writes too."""
    added = {token["id"]: token for token in raw.get("added_tokens", ())}
    texts = {number: text for text, number in raw["model"].get("vocab", {}).items()}
    texts |= {number: token["content"] for number, token in added.items()}
    if texts and max(texts) >= size:
        raise ModelError(
            f"the tokenizer has a token {texts[max(texts)]!r}, number {max(texts)}; the network "
            f"has {size} tokens.",
            fix="Give the tokenizer of this network.",
        )
    tokens = [texts.get(number, f"[PAD{number}]") for number in range(size)]
    types = [NORMAL if number in texts else UNUSED for number in range(size)]
    unknown = raw["model"].get("unk_token")
    for number, token in added.items():
        types[number] = CONTROL if token["special"] else OWN
        types[number] = UNKNOWN if token["content"] == unknown else types[number]
    return tokens, types


def _pair(merge: str | Sequence[str]) -> tuple[str, str]:
    left, right = merge.split(" ") if isinstance(merge, str) else merge
    return left, right


def _pieces(
    raw: Mapping[str, Any],
    tokens: Sequence[str],
    types: Sequence[int],
    merges: Sequence[tuple[str, str]],
) -> tuple[str, dict[str, Any], tuple[str, ...]]:
    """SentencePiece's BPE: a score for each token in the place of merges.

    llama.cpp joins the two neighbours that make the token of the highest score. That is the order
    of the merges where each pair that makes a token is one of them, and the pairs of one token
    follow each other; SentencePiece's own tokenizers are like this.
    """
    made: dict[str, int] = {}
    for left, right in merges:
        made.setdefault(left + right, len(made))
    known, pairs = {*tokens}, {*merges}
    order = [made[left + right] for left, right in merges]
    others = (
        token
        for token, kind in zip(tokens, types, strict=True)
        if kind == NORMAL
        and any(known.issuperset(pair) and pair not in pairs for pair in _halves(token))
    )
    other = next(others, None) if order == sorted(order) else "a word"
    if other is not None:
        raise ModelError(
            f"the merges of this tokenizer are not SentencePiece's: {other!r} would be joined "
            "otherwise by llama.cpp.",
            fix="Serve it with the built-in engine; other tokens give worse answers.",
        )
    prefixed, notes = _begins_with_blank(raw)
    # What no merge makes is joined last of all, and single letters never are.
    scores = [-float(made.get(token, len(made))) for token in tokens]
    return "llama", {"pre": "default", "scores": scores, "add_space_prefix": prefixed}, notes


def _halves(token: str) -> Iterator[tuple[str, str]]:
    return ((token[:at], token[at:]) for at in range(1, len(token)))


def _begins_with_blank(raw: Mapping[str, Any]) -> tuple[bool, tuple[str, ...]]:
    """Whether a text gets a blank before it, and where llama.cpp puts it elsewhere.

    Raises:
        ModelError: Blanks are not written as SentencePiece does.
    """
    said = json.dumps([raw.get("normalizer"), raw.get("pre_tokenizer")])
    if "Prepend" in said:
        return True, ()
    if "Metaspace" in said:
        cut = raw["pre_tokenizer"]
        scheme = cut.get("prepend_scheme", "always")
        if cut.get("split"):
            raise _no_pieces()
        if scheme == "first":
            return False, ("llama.cpp writes no blank before a text that begins with a word",)
        return scheme == "always", ()
    if "Replace" in said:
        return False, ()
    raise _no_pieces()


def _no_pieces() -> ModelError:
    return ModelError(
        "this tokenizer writes blanks otherwise than SentencePiece does.",
        fix="Serve it with the built-in engine; llama.cpp would make other tokens.",
    )


def _type_of_piece(token: str, kind: int) -> int:
    single = len(token) == 6 and token.startswith("<0x") and token.endswith(">")
    return BYTE if single and kind == NORMAL else kind


def _normalized(raw: Mapping[str, Any]) -> str:
    """What llama.cpp leaves out: it puts no accents together.

    Raises:
        ModelError: The tokenizer changes texts in another way.
    """
    normalizer = raw.get("normalizer")
    if normalizer is None:
        return ""
    if normalizer.get("type") == "NFC":
        return "llama.cpp does not join letters and accents that are written apart (NFC)"
    raise ModelError(
        f"this tokenizer changes texts ({normalizer.get('type')}), which llama.cpp does not.",
        fix="Serve it with the built-in engine; llama.cpp would make other tokens.",
    )


def _special(chat: Template) -> dict[str, Any]:
    """Numbers of special tokens, and whether a prompt begins with one.

    The network learnt conversations as the template writes them: where that writes no first
    token, llama.cpp must add none, whatever the tokenizer does with a text alone.
    """
    tokenizer = chat.tokenizer
    end, begin = tokenizer.eos_token_id, tokenizer.bos_token_id
    end = chat.end_id if end is None else end
    facts = {
        # Without it llama.cpp takes token 11 of any vocabulary for the first.
        "bos_token_id": end if begin is None else begin,
        "eos_token_id": end,
        "eot_token_id": chat.end_id,
        "unknown_token_id": tokenizer.unk_token_id,
        "padding_token_id": tokenizer.pad_token_id,
        "add_bos_token": False,
        "add_eos_token": False,
    }
    if begin is not None:
        asked = chat.write([Message("user", "?")], asking=True)
        facts["add_bos_token"] = asked.startswith(tokenizer.bos_token)
    return {name: value for name, value in facts.items() if value is not None}


def _alone(chat: Template) -> str:
    """The template with what training tells it written into it."""
    source = GENERATION.sub(lambda mark: f"{mark[1]}{'endif' if mark[2] else 'if true'}{mark[3]}",
                            chat.source)  # fmt: skip
    if END.search(source):
        vocabulary = chat.tokenizer.get_vocab()
        end = "<|im_end|>" if "<|im_end|>" in vocabulary else chat.tokenizer.eos_token
        source = f"{{%- set END = {json.dumps(end)} %}}{source}"
    if "enable_thinking" in source:  # the network learnt to answer at once
        source = f"{{%- set enable_thinking = false %}}{source}"
    return source
