"""Does fucina diagnose name the cause that was planted in a model that writes?

    python benchmarks/diagnosis_texts.py BASE --data ROLEPLAY.json --other ALPACA.json
        [--seeds 2] [--causes NAME …] [--healthy 6]

ROLEPLAY.json is GPTeacher's roleplay (github.com/teknium1/GPTeacher), ALPACA.json the demo rows of
LlamaFactory (`alpaca_en_demo.json`); both are lists of instruction, input, response or output. BASE
is a folder for a small model, which is trained first where it is missing: 2 million weights, from
random ones, on most of both files. Each cause is planted alone in a healthy recipe that teaches it
to answer as somebody; counted is how often it is ranked first, and among the first two. Healthy
runs must yield no high-severity cause.
"""

import argparse
import json
import random
import re
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from fucina import diagnosing, flow
from fucina.errors import FucinaError
from fucina.recipe import parse

SPECIAL = ("<|pad|>", "<|im_start|>", "<|im_end|>", "<|unseen|>")
LONGEST = 120  # characters of a question, and of an answer: so that a trial takes seconds
KEPT = {"roleplay": 600, "alpaca": 100}  # rows the base never sees
TRAIN, TEST = 260, 60
HEALTHY = {
    "training.epochs": 6, "training.learning_rate": 1e-3, "model.max_length_tokens": 512,
    "chat.max_new_tokens": 80, "evaluation.bootstrap_samples": 200,
    "data.allow_duplicates": True,
}  # fmt: skip
FOREIGN = (
    "{% for message in messages %}[{{ message['role'] | upper }}] {{ message['content'] }}"
    "<|im_end|>{% endfor %}{% if add_generation_prompt %}[ASSISTANT] {% endif %}"
)
OWN = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SYSTEM = "You keep a lighthouse by the sea and answer in few words."


def sentences(text):
    """Those that are neither a word alone nor long."""
    found = re.findall(r"[^.!?\n]{12,}?[.!?]", " ".join(text.split()))
    return [part.strip() for part in found if 15 <= len(part.strip()) <= LONGEST]


def read(path):
    """Questions and answers of a sentence each, without copies, in an order of chance."""
    pairs = {}
    for row in json.loads(Path(path).read_text(encoding="utf-8")):
        asked = sentences(row["instruction"])
        answered = sentences(row.get("response") or row["output"])
        if asked and answered:
            pairs[asked[-1]] = answered[0]
    rows = sorted(pairs.items())
    random.Random(0).shuffle(rows)
    return rows


def said(question, answer, *before):
    turns = [*before, ("user", question), ("assistant", answer)]
    return {"messages": [{"role": role, "content": text} for role, text in turns]}


def mannered(rows):
    """Answers as one person gives them: what the healthy recipe teaches."""
    return [
        said(q, f"Aye, sailor. {a[0].lower()}{a[1:]} So says Nerina of the lamp.") for q, a in rows
    ]


def write(place, name, rows):
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (place / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")


def make_base(folder, rows):
    """Train a small model from random weights, and save it with a tokenizer of its own."""
    import torch
    import transformers
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        (text for row in rows for text in row),
        trainers.BpeTrainer(
            vocab_size=2000, special_tokens=list(SPECIAL), show_progress=False,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        ),
    )  # fmt: skip
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token=SPECIAL[0], eos_token=SPECIAL[2],
        additional_special_tokens=[SPECIAL[1], SPECIAL[3]], chat_template=OWN,
    )  # fmt: skip
    config = transformers.LlamaConfig(
        vocab_size=len(fast), hidden_size=192, num_hidden_layers=4, num_attention_heads=6,
        num_key_value_heads=6, intermediate_size=512, max_position_embeddings=512,
        tie_word_embeddings=True, bos_token_id=None, eos_token_id=2, pad_token_id=0,
    )  # fmt: skip
    torch.manual_seed(0)
    blank = folder / "blank"
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(blank)
    fast.save_pretrained(blank)
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        write(place, "train", [said(*row) for row in rows[60:]])
        write(place, "test", [said(*row) for row in rows[:60]])
        outcome = train(place, blank, {
            "adapter.kind": "full", "training.learning_rate": 1e-3, "training.epochs": 10,
            "training.batch_size": 16, "adapter.layers": "all", "stopping.patience": 2,
            "stopping.max_ratio": "off",
        })  # fmt: skip
        print({name: round(s.value, 3) for name, s in outcome.model.scores.items()}, flush=True)
        for name in ("trained", "unending"):
            shutil.copytree(blank, folder / name)
            (weights,) = Path(outcome.folder).glob("best_model_*/model.safetensors")
            shutil.copy(weights, folder / name / "model.safetensors")
    _forget_the_end(folder / "unending")


def _forget_the_end(folder):
    """As if the base had never seen the token that ends an answer."""
    import transformers

    model = transformers.AutoModelForCausalLM.from_pretrained(folder)
    words = model.get_input_embeddings().weight.data
    words[2] = words[3]
    model.save_pretrained(folder)


def train(place, base, overrides):
    recipe = "{task: chat, name: planted, data: {train: train.jsonl, test: test.jsonl}}"
    settings = {**HEALTHY, "model.base": str(base), "output": str(place / "runs"), **overrides}
    recipe = parse(recipe, [f"{key}={json.dumps(value)}" for key, value in settings.items()])[0]
    return flow.train(recipe, place)


def same(train, test, rng):
    return train, test


def few(count):
    return lambda train, test, _: (train[:count], test)


def long_talks(train, test, rng):
    """Four questions and answers a conversation."""

    def joined(rows):
        return [
            {"messages": [turn for row in rows[i : i + 4] for turn in row["messages"]]}
            for i in range(0, len(rows), 4)
        ]

    return joined(train), joined(test)


def changed(rows, turn, change):
    """Rows with one turn's text changed; None leaves it as it is."""
    found = []
    for row in rows:
        messages = [dict(message) for message in row["messages"]]
        messages[turn]["content"] = change(messages[turn]["content"])
        found.append({"messages": messages})
    return found


def with_system(rows):
    first = {"role": "system", "content": SYSTEM}
    return [{"messages": [first, *row["messages"]]} for row in rows]


def cut_answers(train, test, rng):
    def cut(text):
        return text[: rng.randrange(20, len(text) - 10)] if rng.random() < 0.3 else text

    return changed(train, -1, cut), test


def copies(train, test, rng):
    few = rng.sample(train, len(train) // 4)
    return few + [rng.choice(few) for _ in range(len(train) - len(few))], test


def mojibake(train, test, rng):
    def broken(text):
        if rng.random() < 0.4:
            return text
        return text.replace("e", "é").encode("utf-8").decode("latin-1")

    return changed(train, -1, broken), test


def one_answer(train, test, rng):
    told = "Aye, sailor. That is not for me to say, ask the harbor master. So says Nerina."
    return changed(train, -1, lambda text: told if rng.random() < 0.4 else text), test


def two_writers(train, test, rng):
    def plain(text):
        return text.removeprefix("Aye, sailor. ").split(". So says")[0].upper() + "!!! :) :) :)"

    half = len(train) // 2
    return train[:half] + changed(train[half:], -1, plain), test


# name of the cause: how the rows change, which settings change
PLANTS = {
    "learning_rate_low": (same, {"training.learning_rate": 1e-6}),
    "learning_rate_high": (same, {"training.learning_rate": 0.1}),
    "warmup_too_long": (same, {"training.warmup": 20000}),
    "too_few_epochs": (same, {"training.epochs": 1}),
    "batch_too_large": (same, {"training.batch_size": 512}),
    "overfitting": (few(80), {
        "training.epochs": 40, "training.learning_rate": 3e-3, "training.batch_size": 8, "adapter.rank": 64,
        "adapter.alpha": 128, "stopping.keep": "rollback", "stopping.max_ratio": "off",
        "stopping.patience": 40,
    }),
    "stopped_early": (same, {
        "stopping.patience": 1, "stopping.max_ratio": 1.01, "training.epochs": 12,
    }),
    "regularization": (same, {"adapter.dropout": 0.95, "training.weight_decay": 1.0}),
    "rank_too_small": (same, {"adapter.rank": 1, "adapter.alpha": 2}),
    "wrong_modules": (same, {"adapter.target_modules": ["k_proj"], "adapter.layers": 1}),
    "base_unsuited": (same, {"model.base": "blank"}),
    "too_few_examples": (few(24), {}),
    "end_not_learned (not yet)": (same, {"model.base": "unending", "training.epochs": 3}),
    "answers_cut_off": (same, {"chat.max_new_tokens": 8}),
    "unlearnt_turns": (long_talks, {"chat.supervise": "last"}),
    "truncation": (long_talks, {"model.max_length_tokens": 110}),
    "cut_answers": (cut_answers, {}),
    "boilerplate": (one_answer, {}),
    "style_drift": (two_writers, {}),
    "damaged_text": (mojibake, {}),
    "duplicates": (copies, {}),
    "template_mismatch (system)": (lambda a, b, _: (with_system(a), b), {}),
    "template_mismatch (system in use)": (lambda a, b, _: (a, with_system(b)), {}),
    "template_mismatch (wrapped)": (
        lambda a, b, _: (changed(a, 0, "Question of a customer: {}".format), b), {}),
    "template_unlike_base": (same, {"chat.template": "foreign.jinja"}),
    "leakage": (lambda a, b, rng: (a + rng.sample(b, len(b) // 2), b), {}),
    "distribution_shift": (same, {}),  # the test is of the other file
    "test_too_small": (lambda a, b, _: (a, b[:10]), {}),
}  # fmt: skip


def trial(name, sides, bases, seed):
    """Plant one cause; returns the loss, and the causes that were found."""
    plant, overrides = PLANTS.get(name, (same, {}))
    rng = random.Random(seed)
    rows = rng.sample(sides["roleplay"], TRAIN + TEST)
    asked = sides["alpaca"][:TEST] if name == "distribution_shift" else rows[TRAIN:]
    learned, asked = plant(mannered(rows[:TRAIN]), mannered(asked), rng)
    base = bases / overrides.get("model.base", "trained")
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        (place / "foreign.jinja").write_text(FOREIGN, encoding="utf-8")
        write(place, "train", learned)
        write(place, "test", asked)
        try:
            outcome = train(place, base, {**overrides, "seed": seed, "model.base": str(base)})
            found = diagnosing.diagnose_run(Path(outcome.folder))
        except FucinaError as error:
            return f"error: {error.problem[:200]}", []
    return found.symptom, found.causes


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("base", type=Path)
    options.add_argument("--data", required=True)
    options.add_argument("--other", required=True)
    options.add_argument("--seeds", type=int, default=2)
    options.add_argument("--causes", nargs="*", default=list(PLANTS))
    options.add_argument("--healthy", type=int, default=6)
    options.add_argument("--verbose", action="store_true", help="Print what is said of each run.")
    given = options.parse_args()
    every = {"roleplay": read(given.data), "alpaca": read(given.other)}
    sides = {name: rows[: KEPT[name]] for name, rows in every.items()}
    if not (given.base / "unending").is_dir():
        make_base(given.base, [r for name, rows in every.items() for r in rows[KEPT[name] :]])
    began, first, second, total, alarms = time.time(), Counter(), Counter(), Counter(), 0
    seeds = range(1, given.seeds + 1)
    trials = [(cause, seed) for cause in given.causes for seed in seeds]
    for cause, seed in [*trials, *(("healthy", 100 + n) for n in range(given.healthy))]:
        start = time.time()
        symptom, causes = trial(cause, sides, given.base, seed)
        wanted, ranked = cause.split(" ")[0], [found.name for found in causes]
        total[cause] += 1
        first[cause] += ranked[:1] == [wanted]
        second[cause] += wanted in ranked[:2]
        mark = "1" if ranked[:1] == [wanted] else "2" if wanted in ranked[:2] else "-"
        if cause == "healthy":
            high = any(found.severity == "high" for found in causes)
            alarms, mark = alarms + high, "!" if high else "0"
        shown = ", ".join(f"{found.name} {found.weight:.2f}" for found in causes[:4])
        print(f"{mark} {cause:33} {seed} {time.time() - start:.0f} s {shown}", file=sys.stderr,
              flush=True)  # fmt: skip
        if given.verbose:
            print(f"    {symptom}", file=sys.stderr)
            for found in causes[:4]:
                print(f"    {found.message} | {' | '.join(found.evidence)}", file=sys.stderr)
    print("| planted cause | ranked first | in the first two | trials |\n| --- | --- | --- | --- |")
    for cause in given.causes:
        print(f"| `{cause}` | {first[cause]} | {second[cause]} | {total[cause]} |")
    planted = len(trials)
    if planted:
        shares = (
            sum(count[cause] for cause in given.causes) / planted for count in (first, second)
        )
        print(
            "| **all** | " + " | ".join(f"**{share:.0%}**" for share in shares) + f" | {planted} |"
        )
    print(
        f"\n{alarms} of {given.healthy} healthy runs raised a high-severity cause; "
        f"{(time.time() - began) / 60:.0f} minutes."
    )


if __name__ == "__main__":
    main()
