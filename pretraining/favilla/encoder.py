"""An encoder that knows Italian too, from one that knows English.

    python pretraining/favilla/encoder.py DATA CORPUS OUT [--steps 1000] [--without words mixed]

The network is MiniLM's with all of its words, and Italian ones. Only these learn, so English stays as
it was. In one step they learn

- the teacher's vectors of the English that they mean: of `words` of the lexicon in no order, of
  English sentences with Italian words in them (`mixed`), of the English sentence that an Italian one
  translates (`pairs`: of tldr, and those beside this file), of `passages` of several of either.

`benchmarks/encoders.py` judges what comes out, `ship_encoder.py` puts it into the package.
"""

import argparse
import json
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from encoder_texts import Lexicon, sentences, translations, written
from encoder_words import bilingual, rows_for, used, words_of
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoModel, AutoTokenizer

from fucina.models.int8 import INT8, narrow
from fucina.models.source import locate
from fucina.models.sums import write_sums
from fucina.run import write_tensors
from fucina.train.schedule import rate

SIZE = 46_000  # tokens: 30 MB in eight bits
ITALIAN_FILES = ("it_novels", "it_sql", "it_visualstudio", "it_architecture_center",
                 "it_dynamics365_operations", "it_dynamics365_smb", "tldr_it")  # fmt: skip
ENGLISH_FILES = ("en_novels", "tldr_en", "nl2bash", "roleplay", "mts_dialog", "spider")
ROWS = {
    "words": 16, "mixed": 48, "pairs": 64, "passages": 8,
}  # fmt: skip
OWN = 2  # times that our own pairs count among the translations
LONG = 40  # English words of a passage, before its last sentence
BAG = 8  # words without order
SPOKEN = 8  # times that our own sentences count among those that words are learnt from
MIXED = 0.8  # of the words that the lexicon knows
OFTEN = 20  # a row of an English word is free if it is that much more frequent in Italian
PAIRS = Path(__file__).parent / "pairs"
LONGEST = 160  # tokens
TOLD = 50  # steps
TOGETHER = 5000  # characters that pass together, padding too
WORDS = 1e-3  # learning rate
TEACHER = "minilm"


def pooled(states: Tensor, mask: Tensor) -> Tensor:
    """Unit vectors, the mean of states where there is a token."""
    weights = mask.unsqueeze(-1).to(states.dtype)
    return functional.normalize((states * weights).sum(1).float() / weights.sum(1).float(), dim=-1)


def read(tokenizer: Any, texts: list[str]) -> Any:
    """Texts as padded ids."""
    return tokenizer(texts, padding=True, truncation=True, max_length=LONGEST, return_tensors="pt")


def vectors_of(network: Any, tokenizer: Any, texts: list[str]) -> Tensor:
    """A unit vector of each text; texts of like length pass together, so little is padding."""
    order = sorted(range(len(texts)), key=lambda n: len(texts[n]))
    found, first = [], 0
    for place in range(1, len(order) + 1):
        longest = len(texts[order[place]]) if place < len(order) else 0
        if place == len(order) or (place - first + 1) * longest > TOGETHER:
            batch = read(tokenizer, [texts[n] for n in order[first:place]])
            found.append(pooled(network(**batch).last_hidden_state, batch["attention_mask"]))
            first = place
    return torch.cat(found)[torch.tensor(order).argsort()]


class Teaching:
    """Gives the losses of a step, of whatever is wanted."""

    def __init__(self, data: Path, corpus: Path, without: set[str]) -> None:
        source = locate(TEACHER)
        self.teacher, self.old = (
            AutoModel.from_pretrained(source),
            AutoTokenizer.from_pretrained(source),
        )
        self.english = sentences(corpus, ENGLISH_FILES, 8_000, seed=1)
        italian = sentences(corpus, ITALIAN_FILES, 60_000, seed=2)
        self.lexicon = Lexicon(PAIRS / "words.tsv")
        tldr = translations(data / "cli_tldr_it_en/tldr_pages.tar.xz")
        own = written(PAIRS)
        self.pairs = [*tldr, *own * OWN]
        english = [*self.english, *sentences(corpus, ENGLISH_FILES, 60_000, seed=4)]
        here = words_of(self.old, [*italian, *[text for text, _ in own] * SPOKEN])
        there = words_of(self.old, [*english, *(text for _, text in own)])
        forms = [form for form in self.english_of() if form.isalpha()]
        self.tokenizer = bilingual(self.old, forms, there, here, SIZE)
        self.forms = [*self.lexicon.english.items()]
        self.without = without
        self.generator, self.dice = torch.Generator().manual_seed(0), random.Random(0)
        self.memory: dict[str, Tensor] = {}
        # of short texts, the fused attention's way back takes half of a step
        self.network = AutoModel.from_pretrained(source, attn_implementation="eager")
        old = self.network.get_input_embeddings().weight.detach()
        self.network.resize_token_embeddings(len(self.tokenizer), mean_resizing=False)
        self.words = self.network.get_input_embeddings().weight
        with torch.no_grad():
            self.words.copy_(rows_for(self.tokenizer, self.old, old, self.english_of()))
        here, there = used(self.tokenizer, here), used(self.tokenizer, there)
        kept = set(self.old.get_vocab()) & set(self.tokenizer.get_vocab())
        kept = [word for word in kept if here[word] <= OFTEN * (there[word] + 1)]
        self.free = torch.ones(len(self.words), 1)
        self.free[self.tokenizer.convert_tokens_to_ids(kept)] = 0
        self.words.register_hook(lambda gradient: gradient * self.free)
        self.network.requires_grad_(False)
        self.words.requires_grad_(True)
        print(
            f"{len(self.english):,} English sentences, {len(self.pairs):,} translated ones, "
            f"{int(self.free.sum()):,} of {len(self.words):,} words learn",
            flush=True,
        )

    def english_of(self) -> dict[str, str]:
        """The lexicon with forms as the tokenizer reads them: without capitals and accents."""
        read_as = self.old.backend_tokenizer.normalizer.normalize_str
        return {read_as(form): english for form, english in self.lexicon.english.items()}

    def drawn(self, rows: list[Any], count: int) -> list[Any]:
        return [rows[n] for n in torch.randint(len(rows), (count,), generator=self.generator)]

    def losses(self) -> dict[str, Tensor]:
        """One step's, each by its name."""
        parts = {n: part for n, part in self._taught().items() if n not in self.without}
        texts = [own for part in parts.values() for own, _ in part]
        made = vectors_of(self.network, self.tokenizer, texts)
        meant = self.vectors([said for part in parts.values() for _, said in part])
        away = 1 - (made * meant).sum(-1)
        shares = away.split([len(part) for part in parts.values()])
        return {name: share.mean() for name, share in zip(parts, shares, strict=True)}

    def vectors(self, texts: list[str]) -> Tensor:
        """The teacher's, each made once."""
        new = [text for text in dict.fromkeys(texts) if text not in self.memory]
        if new:
            with torch.no_grad():
                self.memory.update(zip(new, vectors_of(self.teacher, self.old, new), strict=True))
        return torch.stack([self.memory[text] for text in texts])

    def _taught(self) -> dict[str, list[tuple[str, str]]]:
        """Texts, each with the English one whose vector it is to have."""
        pairs, mixed = self.drawn(self.pairs, ROWS["pairs"]), self._mixed(ROWS["mixed"])
        half = ROWS["passages"] // 2
        passages = [self._passage(lambda: self.drawn(self.pairs, 1)) for _ in range(half)]
        passages += [self._passage(lambda: self._mixed(1)) for _ in range(half)]
        return {
            "words": [self._joined(self.drawn(self.forms, self.dice.randint(1, BAG)))
                      for _ in range(ROWS["words"])],
            "mixed": mixed,
            "pairs": pairs,
            "passages": passages,
        }  # fmt: skip

    def _mixed(self, count: int) -> list[tuple[str, str]]:
        plain = self.drawn(self.english, count)
        return [(self.lexicon.mixed(text, MIXED, self.dice), text) for text in plain]

    def _passage(self, draw: Callable[[], list[tuple[str, str]]]) -> tuple[str, str]:
        """Pairs in a row: no more than the longest text, lest the end be cut off one side alone."""
        parts = draw()
        while sum(len(english.split()) for _, english in parts) < LONG:
            parts += draw()
        return self._joined(parts)

    def _joined(self, pairs: list[tuple[str, str]]) -> tuple[str, str]:
        return " ".join(one for one, _ in pairs), " ".join(other for _, other in pairs)


WEIGHTS = {"words": 5.0, "mixed": 10.0, "pairs": 10.0, "passages": 5.0}


def learn(teaching: Teaching, steps: int) -> list[dict[str, float]]:
    """Move the words; gives the losses on the way, behind what there is."""
    parameters = sum(p.numel() for p in teaching.network.parameters())
    # decay would move the rows that stay, too
    optimizer = torch.optim.AdamW([teaching.words], lr=WORDS, weight_decay=0.0, fused=True)
    half = torch.cpu._is_avx512_bf16_supported()
    began, told = time.perf_counter(), {}
    log = [{"parameters": parameters, "free": int(teaching.free.sum())}]
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = WORDS * rate(
            step, warmup=steps // 20 + 1, total=steps, schedule="linear"
        )
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            losses = teaching.losses()
        sum(WEIGHTS[name] * loss for name, loss in losses.items()).backward()
        nn.utils.clip_grad_norm_([teaching.words], 1.0)
        optimizer.step()
        optimizer.zero_grad()
        told = {
            n: 0.95 * told.get(n, loss.item()) + 0.05 * loss.item() for n, loss in losses.items()
        }
        if (step + 1) % TOLD == 0 or step + 1 == steps:
            rounded = {name: round(value, 4) for name, value in told.items()}
            log.append({"step": step + 1, "s": round(time.perf_counter() - began), **rounded})
            print(json.dumps(log[-1]), flush=True)
    return log


def save(teaching: Teaching, out: Path, log: list[dict[str, float]]) -> None:
    """Write the encoder in eight bits, how its states are pooled, and how it went."""
    out.mkdir(parents=True, exist_ok=True)
    teaching.network.config.save_pretrained(out)
    write_tensors(out / INT8, narrow(teaching.network.state_dict()))
    teaching.tokenizer.save_pretrained(out)
    words = out / "tokenizer.json"  # without its blanks, a third of a megabyte
    packed = json.dumps(
        json.loads(words.read_text("utf-8")), ensure_ascii=False, separators=(",", ":")
    )
    words.write_text(packed + "\n", encoding="utf-8")
    (out / "1_Pooling").mkdir(exist_ok=True)
    pooling = {
        "word_embedding_dimension": teaching.network.config.hidden_size,
        "pooling_mode_mean_tokens": True,
    }
    (out / "1_Pooling/config.json").write_text(json.dumps(pooling) + "\n", encoding="utf-8")
    lines = "".join(json.dumps(row) + "\n" for row in log)
    (out / "training_log.jsonl").write_text(lines, encoding="utf-8")
    write_sums(out)


def main() -> None:
    """Make one encoder."""
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--without", nargs="*", default=[])
    arguments = parser.parse_args()
    torch.manual_seed(0)
    teaching = Teaching(arguments.data, arguments.corpus, set(arguments.without))
    save(teaching, arguments.out, learn(teaching, arguments.steps))


if __name__ == "__main__":
    main()
