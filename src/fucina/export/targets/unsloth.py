"""Unsloth: a script that trains on a CUDA machine with TRL (as of Unsloth 2026.10, TRL 0.18 on)."""

import json
from typing import Any

from fucina.export.handover import Bundle, Handover, Target
from fucina.export.lost import comments, losses
from fucina.export.rows import json_lines
from fucina.export.settings import known, written

__all__ = ["TARGET"]

COMMAND = "python train.py"
ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")
ALL_LINEAR = (*ATTENTION, "gate_proj", "up_proj", "down_proj")
DTYPES = {"auto": None, "bfloat16": "bfloat16", "float32": "float32"}
TRAINER = (
    "training.epochs", "training.batch_size", "training.accumulation", "training.learning_rate",
    "training.schedule", "training.weight_decay", "training.max_gradient_norm",
    "output", "seed",
)  # fmt: skip
CARRIED = {
    *TRAINER, "training.warmup", "model.base", "model.max_length_tokens", "adapter.kind",
    "adapter.rank", "adapter.alpha", "adapter.dropout", "adapter.target_modules", "adapter.layers",
    "stopping.patience", "stopping.min_gain", "chat.system", "chat.template", "chat.supervise",
    "training.precision", "model.quantize", "adapter.rslora", "engine.optimizer",
    "engine.checkpointing", "engine.backend", "engine.python",
}  # fmt: skip

SCRIPT = '''\
import json

from unsloth import FastLanguageModel  # first: it changes what the others import
from unsloth.chat_templates import get_chat_template, train_on_responses_only

from datasets import Dataset
from transformers import EarlyStoppingCallback
from trl import SFTConfig, SFTTrainer

model, tokenizer = FastLanguageModel.from_pretrained(
{load}
)
{adapter}{template}

def rows(name):
    """The conversations of a file as text, with their tools where they have some."""
    with open(name, encoding="utf-8") as file:
        read = [json.loads(line) for line in file]
    texts = [
        tokenizer.apply_chat_template(row["messages"], tools=row.get("tools"), tokenize=False)
        for row in read
    ]
    return Dataset.from_dict({{"text": texts}})


trainer = SFTTrainer(
    model=model,
    processing_class=tokenizer,
    train_dataset=rows("train.jsonl"),
    eval_dataset=rows("validation.jsonl"),
    callbacks=[EarlyStoppingCallback({stopping})],
    args=SFTConfig(
        dataset_text_field="text",
{trainer}
        optim={optimizer},
        eval_strategy="epoch",
        save_strategy="epoch",
        load_best_model_at_end=True,
        metric_for_best_model="eval_loss",
        greater_is_better=False,
        report_to="none",
    ),
)
# Only what the assistant says is learnt; the template tells where that begins.
trainer = train_on_responses_only(trainer, last_response_only={last})
trainer.train()
model.save_pretrained({adapters})
tokenizer.save_pretrained({adapters})
'''


def write(source: Handover) -> Bundle:
    """Write a script and its rows."""
    recipe = source.recipe
    lost = losses(source, CARRIED)
    load = {
        "model_name": recipe.model.base,
        "max_seq_length": recipe.model.max_length_tokens,
        "dtype": DTYPES[recipe.training.precision],
        "load_in_4bit": recipe.model.quantize == "nf4",
        "full_finetuning": recipe.adapter.kind == "full",
    }
    trainer = written(recipe, "trl", leave=known("trl") - set(TRAINER))
    # Steps, as newer releases of transformers know no ratio.
    steps, warmup = source.steps * recipe.training.epochs, recipe.training.warmup
    trainer["warmup_steps"] = round(warmup * steps if warmup < 1 else warmup)
    texts = {"train": source.train, "validation": source.validation, "test": source.test}
    files = {f"{name}.jsonl": json_lines(rows) for name, rows in texts.items()}
    if source.template is not None:
        files["chat_template.jinja"] = source.template
    script = SCRIPT.format(
        load=_arguments(load, 4),
        adapter=_adapter(source),
        template=_template(source),
        stopping=(
            f"early_stopping_patience={recipe.stopping.patience}, "
            f"early_stopping_threshold={recipe.stopping.min_gain}"
        ),
        trainer=_arguments(trainer, 8),
        optimizer=_literal("adamw_torch" if recipe.engine.optimizer == "adamw" else "adamw_8bit"),
        last=recipe.chat.supervise == "last",
        adapters=_literal(f"{recipe.output}/{recipe.name}"),
    )
    head = comments(TARGET.title, source, COMMAND, lost)
    return Bundle("train.py", {"train.py": head + script, **files}, COMMAND, tuple(lost))


def _adapter(source: Handover) -> str:
    adapter = source.recipe.adapter
    if adapter.kind == "full":
        return ""
    targets = adapter.target_modules
    names = {"all-linear": list(ALL_LINEAR), "attention": list(ATTENTION)}
    found = {
        "r": adapter.rank,
        "lora_alpha": round(adapter.alpha),
        "lora_dropout": adapter.dropout,
        **({"use_rslora": True} if adapter.rslora else {}),
        "target_modules": names.get(targets, [targets]) if isinstance(targets, str) else [*targets],
        **({} if adapter.layers == "all" else {"finetune_last_n_layers": adapter.layers}),
        "random_state": source.recipe.seed,
    }
    return f"model = FastLanguageModel.get_peft_model(\n    model,\n{_arguments(found, 4)}\n)\n"


def _template(source: Handover) -> str:
    if source.template is not None:
        return 'tokenizer.chat_template = open("chat_template.jinja", encoding="utf-8").read()\n'
    if source.recipe.chat.template == "chatml":
        return 'tokenizer = get_chat_template(tokenizer, chat_template="chatml")\n'
    return (
        "if tokenizer.chat_template is None:\n"
        '    tokenizer = get_chat_template(tokenizer, chat_template="chatml")\n'
    )


def _arguments(settings: dict[str, Any], indent: int) -> str:
    return "\n".join(f"{' ' * indent}{name}={_literal(value)}," for name, value in settings.items())


def _literal(value: Any) -> str:
    """Python, with the quotes that formatters want."""
    if isinstance(value, list):
        return f"[{', '.join(map(_literal, value))}]"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)


TARGET = Target("Unsloth", "train.py, with rows as chat messages", write)
