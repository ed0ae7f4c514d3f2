"""How a tokenizer cuts text into words before it merges bytes, in the names of llama.cpp.

llama.cpp knows a fixed list of such cuts and no regular expression of a file. A wrong one gives
other tokens and worse answers without a word, so what is not in the list below is refused.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fucina.errors import ModelError

__all__ = ["Cut", "cut_of"]


@dataclass(frozen=True)
class Cut:
    """One way to cut.

    Attributes:
        name: `tokenizer.ggml.pre`.
        differs: Where llama.cpp's way gives other tokens; empty where it never does.
    """

    name: str
    differs: str = ""


ENDINGS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
WORD = r"|[^\r\n\p{L}\p{N}]?\p{L}+|"
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA3 = ENDINGS + WORD + r"\p{N}{1,3}" + REST
QWEN2 = ENDINGS + WORD + r"\p{N}" + REST
# What `fucina pretrain` makes: no English endings, single digits. llama.cpp has no cut without
# the endings that keeps line breaks apart as this one does; GPT-2's is the nearest.
FUCINA = r" ?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
NEAREST = (
    "llama.cpp cuts English endings ('s 't 're 've 'm 'll 'd) off where no blank stands before "
    "the apostrophe: a word in single quotes that begins like one, at the start of a line, gets "
    "other tokens"
)

# The regular expression and whether a word that is a token is merged at all, to the cut.
CUTS: Mapping[tuple[str, bool], Cut] = {
    (GPT2, False): Cut("gpt-2"),
    (LLAMA3, True): Cut("llama-bpe"),
    (LLAMA3, False): Cut("smaug-bpe"),
    (QWEN2, False): Cut("qwen2"),
    (FUCINA, False): Cut("gpt-2", NEAREST),
}


def cut_of(pre_tokenizer: Mapping[str, Any] | None, *, whole_words: bool) -> Cut:
    """Find llama.cpp's name of a cut.

    Args:
        pre_tokenizer: As tokenizer.json has it.
        whole_words: A word that is a token stays whole, whatever the merges say.

    Raises:
        ModelError: llama.cpp knows none that cuts so.

    Example:
        >>> cut_of({"type": "ByteLevel", "use_regex": True}, whole_words=False).name
        'gpt-2'
    """
    steps = _steps(pre_tokenizer)
    bytes_last = steps[-1:] and steps[-1].get("type") == "ByteLevel"
    if not bytes_last or steps[-1].get("add_prefix_space"):
        raise _unknown(pre_tokenizer)
    cuts_itself = steps[-1].get("use_regex", True)
    before = [_pattern(step) for step in steps[:-1]]
    if cuts_itself and not whole_words and before == ["digits"]:
        return Cut("smollm")
    patterns = [*before, GPT2] if cuts_itself else before
    if len(patterns) == 1 and (patterns[0], whole_words) in CUTS:
        return CUTS[patterns[0], whole_words]
    raise _unknown(pre_tokenizer)


def _steps(pre_tokenizer: Mapping[str, Any] | None) -> Sequence[Mapping[str, Any]]:
    if not pre_tokenizer:
        return []
    return pre_tokenizer.get("pretokenizers") or [pre_tokenizer]


def _pattern(step: Mapping[str, Any]) -> str:
    if step.get("type") == "Digits" and step.get("individual_digits"):
        return "digits"
    plain = step.get("behavior") == "Isolated" and not step.get("invert")
    if step.get("type") == "Split" and plain:
        return step["pattern"].get("Regex", "")
    return ""


def _unknown(pre_tokenizer: Mapping[str, Any] | None) -> ModelError:
    said = str(pre_tokenizer)
    return ModelError(
        f"llama.cpp has no way to cut text as this tokenizer does: {said[:200]}.",
        fix="Serve it with the built-in engine; other cuts give other tokens, and worse answers.",
    )
