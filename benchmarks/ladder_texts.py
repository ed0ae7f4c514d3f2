"""The ladder of shortcuts for answers that are texts, against TRL's SFTTrainer on the same tokens.

    python benchmarks/ladder_texts.py [--case small gemma long] [--epochs 2] [--rounds 3]

Cases, all with random weights, because only time is measured (losses stand beside it):
small: 15 million weights, 16,000 words, a sentence of about 20 tokens behind an instruction of about 60;
gemma: the shape of Gemma 3 270M (18 layers, 262,144 words) on the same rows;
long: the small model, conversations of about 200 tokens behind a system prompt of 2,000.

Baseline: SFTTrainer with completion-only loss, LoRA on all linear layers, bfloat16 and gradient checkpointing off
(its defaults are slower here), padded batches, two intra-op threads. It gets the token ids and masks that Fucina
makes, so that both learn the same tokens. Rounds are interleaved and medians compared: the machine may be shared.
Model loading is in no number; the rest is: tokenizing for ours, making the trainer for TRL.
"""

import argparse
import os
import statistics
import tempfile
import time
import warnings
from pathlib import Path
from unittest import mock

os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
import transformers

from fucina.models import base as bases
from fucina.models import scratch, threads
from fucina.models.conversations import write
from fucina.recipe import parse
from fucina.records import Dataset, Example, Fold, Split
from fucina.train import prepare_texts
from fucina.train.cross_validate import Memory, cross_validate
from fucina.train.members import Hooks

ROOT = Path(__file__).parents[1] / "src/fucina"
RANK, RATE, HELD_OUT = 8, 1e-3, 8
SMALL = {
    "vocab_size": 16_000, "hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 6,
    "num_key_value_heads": 2, "head_dim": 64, "intermediate_size": 1024,
    "max_position_embeddings": 4096, "tie_word_embeddings": True,
}  # fmt: skip
GEMMA = {
    "vocab_size": 262_144, "hidden_size": 640, "num_hidden_layers": 18, "num_attention_heads": 4,
    "num_key_value_heads": 1, "head_dim": 256, "intermediate_size": 2048,
    "max_position_embeddings": 4096, "sliding_window": 512,
}  # fmt: skip
INSTRUCTION = (
    "Sei il classificatore di un negozio. Leggi il messaggio del cliente e rispondi con il solo "
    "nome dell'intento, senza altre parole: reso, spedizione, pagamento, account, prodotto."
)


def read(path):
    import json

    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def intents(count):
    rows = read(ROOT / "demo/customer_support_it/train.jsonl")[:: 960 // count][:count]
    return INSTRUCTION, [Example(row["text"], row["label"].replace("_", " ")) for row in rows]


def conversations(count):
    """Talks of several turns behind a prompt of about 2,000 tokens: the persona, and what she knows."""
    from fucina.data.conversations import turns

    told = [row["text"] for row in read(ROOT / "demo/customer_support_it/train.jsonl")]
    rows = read(ROOT / "tasks/chat/sample.jsonl")
    plain = [row for row in rows if "tools" not in row]
    talks = [turns(row, "messages", "") for row in plain]
    joined = [
        a + b + c
        for a, b, c in zip(talks, talks[1:] + talks[:1], talks[2:] + talks[:2], strict=True)
    ]
    return "\n".join(told[:86]), [Example.of_conversation(talk) for talk in joined[:count]]


CASES = {
    "small": (transformers.Qwen3Config, SMALL, intents, 256, 16),
    "gemma": (transformers.Gemma3TextConfig, GEMMA, intents, 32, 8),
    "long": (transformers.Qwen3Config, SMALL, conversations, 24, 8),
}


def make(folder, kind, size, system, rows):
    """A model of random weights beside a tokenizer of these rows."""
    texts = [system, *(text for row in rows for text in (row.prompt, row.target))]
    tokenizer = scratch.tokenizer_of(texts)
    tokenizer.model_max_length = 4096
    torch.manual_seed(0)
    ends = {"bos_token_id": None, "eos_token_id": 2, "pad_token_id": 0}
    model = transformers.AutoModelForCausalLM.from_config(kind(**size, **ends))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def recipe_of(folder, batch, epochs, *more):
    text = (
        f"{{task: chat, name: ladder, data: {{train: none}}, model: {{base: '{folder}', "
        f"max_length_tokens: 4096}}, adapter: {{rank: {RANK}, alpha: {2 * RANK}, layers: all}},"
        f" training: {{batch_size: {batch}, epochs: {epochs}, learning_rate: {RATE}, precision: "
        "float32, warmup: 0, schedule: linear, weight_decay: 0}, stopping: {patience: 1000}}"
    )
    return parse(text, more)[0]


def ours(split, recipe, system, pool, *, shared=True):
    """Seconds, and the held-out loss."""
    base = _load(recipe, system)
    torch.set_num_threads(1)
    began = time.perf_counter()
    plain = mock.patch.object(prepare_texts, "_checked", lambda w, *_: w.without_prefix())
    with mock.patch.object(prepare_texts, "_checked", prepare_texts._checked) if shared else plain:
        fit = cross_validate(split, base, recipe, threads=pool, hooks=Hooks(), memory=Memory())
    return time.perf_counter() - began, fit.members[0].best.loss


def _load(recipe, system):
    base = bases.load(recipe.model, "float32", "text")
    chat = recipe.chat.model_copy(update={"system": system})
    return bases.with_template(base, chat, Path())


def trl(split, recipe, system):
    """Seconds, and the held-out loss, with TRL's SFTTrainer on the same tokens."""
    import datasets
    from peft import LoraConfig
    from trl import SFTConfig, SFTTrainer

    datasets.disable_progress_bars()

    base = _load(recipe, system)
    written = write(split.development.examples, base.template, max_length_tokens=4096)
    tables = [
        {"input_ids": ids.tolist(), "completion_mask": learnt.astype(int).tolist()}
        for ids, learnt in zip(written.ids, written.learnt, strict=True)
    ]
    fold, asked = split.folds[0], recipe.training
    model = transformers.AutoModelForCausalLM.from_pretrained(recipe.model.base)
    settings = SFTConfig(
        output_dir=tempfile.mkdtemp(), per_device_train_batch_size=asked.batch_size,
        num_train_epochs=asked.epochs, learning_rate=RATE, report_to=[], save_strategy="no",
        logging_strategy="no", bf16=False, use_cpu=True, gradient_checkpointing=False,
        disable_tqdm=True, max_length=None, completion_only_loss=True, weight_decay=0.0,
    )  # fmt: skip
    lora = LoraConfig(
        r=RANK, lora_alpha=2 * RANK, lora_dropout=0.0, target_modules="all-linear",
        task_type="CAUSAL_LM",
    )  # fmt: skip
    torch.set_num_threads(threads.processors())
    began = time.perf_counter()
    job = SFTTrainer(
        model=model, args=settings, processing_class=base.tokenizer, peft_config=lora,
        train_dataset=datasets.Dataset.from_list([tables[row] for row in fold.train]),
        eval_dataset=datasets.Dataset.from_list([tables[row] for row in fold.held_out]),
    )  # fmt: skip
    job.train()
    loss = job.evaluate()["eval_loss"]  # ours judges held-out rows too, before and after each epoch
    return time.perf_counter() - began, loss


def climb(name, options, pool):
    kind, size, rows_of, count, batch = CASES[name]
    system, rows = rows_of(count)
    rows = Dataset("train", tuple(rows))
    learn = tuple(range(len(rows) - HELD_OUT))
    fold = Fold(learn, tuple(range(len(rows) - HELD_OUT, len(rows))))
    split = Split(rows, rows.take([0]), (fold,), ())
    half = f"adapter.layers={size['num_hidden_layers'] // 2}"
    with tempfile.TemporaryDirectory() as folder:
        make(folder, kind, size, system, rows.examples)
        recipe = recipe_of(folder, batch, options.epochs)
        upper = recipe_of(folder, batch, options.epochs, half)
        ways = {
            "TRL SFTTrainer, completion-only loss": lambda: trl(split, recipe, system),
            "buckets, head on learnt tokens": lambda: ours(
                split, recipe, system, pool, shared=False
            ),
            "+ shared beginning": lambda: ours(split, recipe, system, pool),
            "+ stored trunk, top half": lambda: ours(split, upper, system, pool),
        }
        found = {way: [] for way in ways}
        for number in range(options.rounds):
            for way, job in ways.items():
                found[way].append(job())
            print(f"{name}: round {number + 1} of {options.rounds} done", flush=True)
        base = _load(recipe, system)
    written = write(rows.examples, base.template, max_length_tokens=4096)
    tokens = sum(map(len, written.ids)) / len(written)
    print(
        f"\n{name}: {len(rows)} rows of {tokens:.0f} tokens, {written.prefix} of them shared, "
        f"{written.weights.mean():.0f} learnt; {options.epochs} epochs, batch {batch}, "
        f"{threads.processors()} cores"
    )
    print(f"{'way':40} {'seconds':>8} {'ratio':>6} {'held-out loss':>14}")
    first = statistics.median(seconds for seconds, _ in next(iter(found.values())))
    for way, results in found.items():
        seconds = statistics.median(s for s, _ in results)
        loss = statistics.median(v for _, v in results)
        print(f"{way:40} {seconds:8.1f} {first / seconds:6.1f} {loss:14.3f}")
    print(flush=True)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--case", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    transformers.logging.disable_progress_bar()
    with threads.start() as pool:
        for name in options.case:
            climb(name, options, pool)


if __name__ == "__main__":
    main()
