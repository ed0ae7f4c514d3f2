"""An encoder that knows Italian too, from one that knows English: trials and the one that ships.

    python pretraining/favilla/encoder.py DATA CORPUS OUT [--steps 1500] [--without crops masks]

The network is MiniLM's, with a smaller vocabulary of two languages. It learns, in one step:

- its teacher's vectors of English sentences and passages (`english`), so that English stays; of words
  without order, English ones and Italian ones of the lexicon (`words`); of English sentences with
  Italian words in them (`mixed`); of the English sentence that an Italian one translates (`pairs`: of
  tldr, and those beside this file);
- which two `crops` are of one passage, and words that are masked (`masks`).

`benchmarks/encoders.py` judges what comes out.
"""

import argparse
import json
import random
import time
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from encoder_texts import Lexicon, crops, sentences, translations, written
from encoder_words import bilingual, rows_for
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoModel, AutoTokenizer

from fucina.models.source import locate
from fucina.models.sums import write_sums
from fucina.train.schedule import rate

SIZE, ENGLISH = 10_200, 0.6  # tokens, and the share of old ones: 30 MB in bfloat16
ITALIAN_FILES = ("it_novels", "it_sql", "it_visualstudio", "it_architecture_center",
                 "it_dynamics365_operations", "it_dynamics365_smb", "tldr_it")  # fmt: skip
ENGLISH_FILES = ("en_novels", "tldr_en", "nl2bash", "roleplay", "mts_dialog", "spider")
ROWS = {
    "english": 24, "passages": 5, "words": 24, "mixed": 24, "pairs": 40, "crops": 32, "masks": 16,
}  # fmt: skip
LONG = 7  # sentences of a passage
BAG = 8  # words without order
SPOKEN = 8  # times that our own sentences count among those that words are learnt from
MIXED = 0.8  # of the words that the lexicon knows
PAIRS = Path(__file__).parent / "pairs"
LONGEST = 160  # tokens
TOLD = 50  # steps
TOGETHER = 5000  # characters that pass together, padding too
HEAT = 0.05  # of the contrast
MASKED = 0.2  # of the tokens
BODY, WORDS = 1e-4, 1e-3  # learning rates
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


class Masks(nn.Module):
    """The head that foretells masked words; only for learning."""

    def __init__(self, width: int, words: nn.Parameter) -> None:
        super().__init__()
        self.move = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.LayerNorm(width))
        self.words, self.bias = words, nn.Parameter(torch.zeros(len(words)))

    def forward(self, states: Tensor, expected: Tensor) -> Tensor:
        logits = functional.linear(self.move(states), self.words, self.bias)
        return functional.cross_entropy(logits.float(), expected)


def masked(ids: Tensor, tokenizer: Any, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Ids of which some are masked, and which; four of five by the mask, the others by any word."""
    special = torch.tensor(tokenizer.all_special_ids)
    chosen = (torch.rand(ids.shape, generator=generator) < MASKED) & ~torch.isin(ids, special)
    hidden = torch.rand(ids.shape, generator=generator) < 0.8
    other = torch.randint(len(special), len(tokenizer), ids.shape, generator=generator)
    return torch.where(chosen, torch.where(hidden, tokenizer.mask_token_id, other), ids), chosen


class Teaching:
    """Gives the losses of a step, of whatever is wanted."""

    def __init__(self, data: Path, corpus: Path, without: set[str]) -> None:
        source = locate(TEACHER)
        self.teacher, self.old = (
            AutoModel.from_pretrained(source),
            AutoTokenizer.from_pretrained(source),
        )
        self.english = sentences(corpus, ENGLISH_FILES, 25_000, seed=1)
        italian = sentences(corpus, ITALIAN_FILES, 60_000, seed=2)
        self.lexicon = Lexicon(PAIRS / "words.tsv")
        tldr = translations(data / "cli_tldr_it_en/tldr_pages.tar.xz")
        own = [] if "written" in without else written(PAIRS)
        self.pairs = [*tldr, *own * max(1, 2 * len(tldr) // max(1, len(own)))]
        spoken = [text for pair in own for text in pair]
        self.tokenizer = bilingual(
            self.old,
            [*self.english, *spoken[1::2]],
            [*italian, *spoken[::2] * SPOKEN],
            SIZE,
            ENGLISH,
        )
        self.known = [(w, w) for w in self.old.get_vocab() if w.isalpha() and len(w) > 1]
        self.forms = [*self.lexicon.english.items()]
        self.crops = crops(corpus, ITALIAN_FILES, seed=3)
        self.without = without
        self.generator, self.dice = torch.Generator().manual_seed(0), random.Random(0)
        # of short texts, the fused attention's way back takes half of a step
        self.network = AutoModel.from_pretrained(source, attn_implementation="eager")
        old = self.network.get_input_embeddings().weight.detach()
        self.network.resize_token_embeddings(len(self.tokenizer))
        with torch.no_grad():
            self.network.get_input_embeddings().weight.copy_(
                rows_for(self.tokenizer, self.old, old, self.english_of())
            )
        self.masks = Masks(old.shape[1], self.network.get_input_embeddings().weight)
        print(
            f"{len(self.english):,} English sentences, {len(self.pairs):,} translated ones",
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
        taught = self._taught()
        wanted = {name: part for name, part in taught.items() if name not in self.without}
        both = list(islice(self.crops, ROWS["crops"]))
        pairs = [] if "crops" in self.without else [[a for a, _ in both], [b for _, b in both]]
        parts = [*([own for own, _ in part] for part in wanted.values()), *pairs]
        texts = [text for part in parts for text in part]
        found, vectors = {}, iter(())
        if texts:
            made = vectors_of(self.network, self.tokenizer, texts)
            vectors = iter(made.split([len(part) for part in parts]))
        for name, part in wanted.items():
            with torch.no_grad():
                meant = vectors_of(self.teacher, self.old, [said for _, said in part])
            found[name] = 1 - (next(vectors) * meant).sum(-1).mean()
        if pairs:
            near = next(vectors) @ next(vectors).T / HEAT
            right = torch.arange(len(both))
            found["crops"] = (
                functional.cross_entropy(near, right) + functional.cross_entropy(near.T, right)
            ) / 2
        if "masks" not in self.without:
            batch = read(self.tokenizer, [first for first, _ in both[: ROWS["masks"]]])
            ids, chosen = masked(batch["input_ids"], self.tokenizer, self.generator)
            states = self.network(
                input_ids=ids, attention_mask=batch["attention_mask"]
            ).last_hidden_state
            found["masks"] = self.masks(states[chosen], batch["input_ids"][chosen])
        return found

    def _taught(self) -> dict[str, list[tuple[str, str]]]:
        """Texts, each with the English one whose vector it is to have."""
        plain = self.drawn(self.english, ROWS["mixed"])
        own = self.drawn(self.english, ROWS["english"])
        own += [" ".join(self.drawn(self.english, LONG)) for _ in range(ROWS["passages"])]
        return {
            "english": [(text, text) for text in own],
            "words": [*self._bags(self.known), *self._bags(self.forms)],
            "mixed": [(self.lexicon.mixed(text, MIXED, self.dice), text) for text in plain],
            "pairs": self.drawn(self.pairs, ROWS["pairs"]),
        }

    def _bags(self, words: list[tuple[str, str]]) -> list[tuple[str, str]]:
        """Words in no order, so that each is learnt, seldom as it may be in our texts."""
        bags = [self.drawn(words, self.dice.randint(1, BAG)) for _ in range(ROWS["words"] // 2)]
        return [(" ".join(a for a, _ in bag), " ".join(b for _, b in bag)) for bag in bags]


WEIGHTS = {"english": 10.0, "mixed": 10.0, "words": 5.0, "pairs": 10.0, "crops": 0.5, "masks": 0.3}


def learn(teaching: Teaching, steps: int) -> list[dict[str, float]]:
    """Move the network, its words faster than its body; gives the losses on the way."""
    words = teaching.network.get_input_embeddings().weight
    body = [p for p in teaching.network.parameters() if p is not words]
    head = [p for p in teaching.masks.parameters() if p is not words]
    optimizer = torch.optim.AdamW(
        [{"params": [words, *head], "lr": WORDS}, {"params": body, "lr": BODY}],
        weight_decay=0.01,
        fused=True,
    )
    peaks = [group["lr"] for group in optimizer.param_groups]
    half = torch.cpu._is_avx512_bf16_supported()
    began, told, log = time.perf_counter(), {}, []
    for step in range(steps):
        for group, peak in zip(optimizer.param_groups, peaks, strict=True):
            group["lr"] = peak * rate(step, warmup=steps // 20 + 1, total=steps, schedule="linear")
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            losses = teaching.losses()
        sum(WEIGHTS[name] * loss for name, loss in losses.items()).backward()
        nn.utils.clip_grad_norm_([p for g in optimizer.param_groups for p in g["params"]], 1.0)
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
    """Write the encoder in bfloat16, how its states are pooled, and how it went."""
    teaching.network.to(torch.bfloat16).save_pretrained(out)
    teaching.tokenizer.save_pretrained(out)
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
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--without", nargs="*", default=[])
    arguments = parser.parse_args()
    torch.manual_seed(0)
    teaching = Teaching(arguments.data, arguments.corpus, set(arguments.without))
    save(teaching, arguments.out, learn(teaching, arguments.steps))


if __name__ == "__main__":
    main()
