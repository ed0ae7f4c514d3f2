"""Axolotl: one YAML file beside rows of messages; read and written (keys of Axolotl 0.21)."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from fucina.errors import RecipeError
from fucina.export.handover import Adopted, Bundle, Handover, Look, Meaning, Row, Target
from fucina.export.lost import comments, losses, unlearnt
from fucina.export.rows import flat, json_lines
from fucina.export.settings import adopt, as_yaml, known, read_common, written
from fucina.export.theirs import (
    EVERYTHING,
    answers_only,
    eighths,
    flag,
    half,
    optimizer,
    quantized,
    same,
    share,
    stopping,
)

__all__ = ["TARGET"]

COMMAND = "axolotl train config.yaml"
TEMPLATE = "chat_template.jinja"
TEMPLATES = {"auto": "tokenizer_default_fallback_chatml", "chatml": "chatml"}
# What these linear layers are called in most decoders; Axolotl has no word for them.
ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj"]
MARKS = ("train", "training")  # on turns that are learnt or not; the rows are read with them
OPTIMIZERS = {"adamw": "adamw_torch_fused", "adamw_8bit": "adamw_8bit"}
BF16 = {"auto": "auto", "bfloat16": True, "float32": False}
# Written in ways of their own.
OWN = (
    "adapter.target_modules", "stopping.patience", "data.validation_share", "chat.system",
)  # fmt: skip
CARRIED = {
    "model.quantize", "adapter.rslora", "adapter.dora", "engine.optimizer", "engine.checkpointing",
    "training.precision", "chat.template", "chat.supervise", "adapter.kind", "rows.weight",
}  # fmt: skip
DEFAULTS = {
    "adapter": None, "num_epochs": 1, "micro_batch_size": 1, "gradient_accumulation_steps": 1,
    "lr_scheduler": "cosine", "warmup_ratio": 0.03, "weight_decay": 0.0, "max_grad_norm": 1.0,
    "lora_dropout": 0.0, "sequence_len": 512, "seed": 42, "early_stopping_patience": None,
}  # fmt: skip


def write(source: Handover) -> Bundle:
    """Write a configuration and its rows."""
    recipe = source.recipe
    checkpointing = recipe.engine.checkpointing
    lost = losses(source, _carried(source))
    settings: dict[str, Any] = {
        **written(recipe, "axolotl", leave=OWN),
        **_adapter(source),
        "datasets": [_dataset("train.jsonl", source)],
        "test_datasets": [{**_dataset("validation.jsonl", source), "split": "train"}],
        **_template_of(source),
        "optimizer": OPTIMIZERS[recipe.engine.optimizer],
        **({} if checkpointing == "auto" else {"gradient_checkpointing": checkpointing}),
        "bf16": BF16[recipe.training.precision],
        "train_on_inputs": False,
        "sample_packing": False,
        "pad_to_sequence_len": False,
        "early_stopping_patience": recipe.stopping.patience,
        "load_best_model_at_end": True,
        # Early stopping wants both, and counts evaluations: one an epoch, as patience does.
        "eval_steps": source.steps,
        "save_steps": source.steps,
    }
    rows = {"train": source.train, "validation": source.validation, "test": source.test}
    texts = {
        f"{name}.jsonl": json_lines(map(flat, _marked(rows, source))) for name, rows in rows.items()
    }
    if source.template is not None:
        texts[TEMPLATE] = source.template
    head = comments(TARGET.title, source, COMMAND, lost)
    return Bundle(
        "config.yaml", {"config.yaml": head + as_yaml(settings), **texts}, COMMAND, tuple(lost)
    )


def _carried(source: Handover) -> set[str]:
    found = known("axolotl") | CARRIED
    return found | {"adapter.layers"} if _top(source) else found


def _adapter(source: Handover) -> dict[str, Any]:
    """What is trained: an adapter on some linear layers, or everything."""
    adapter = source.recipe.adapter
    if adapter.kind == "full":
        return {}
    targets = adapter.target_modules
    small = source.recipe.model.quantize == "nf4"
    found: dict[str, Any] = {"adapter": "qlora" if small else "lora"}
    found |= {"load_in_4bit": True} if small else {}
    found |= {"peft_use_rslora": True} if adapter.rslora else {}
    found |= {"peft_use_dora": True} if adapter.dora else {}
    if targets == "all-linear":
        found["lora_target_linear"] = True
    elif targets == "attention":
        found["lora_target_modules"] = list(ATTENTION)
    else:
        found["lora_target_modules"] = [targets] if isinstance(targets, str) else list(targets)
    return found | ({"peft_layers_to_transform": top} if (top := _top(source)) else {})


def _top(source: Handover) -> list[int]:
    """The places of the top layers; none where all are trained, or their count is not known."""
    wanted = source.recipe.adapter.layers
    if wanted == "all" or source.layers is None or source.recipe.adapter.kind == "full":
        return []
    return list(range(max(0, source.layers - wanted), source.layers))


def _template_of(source: Handover) -> dict[str, Any]:
    if source.template is not None:
        return {"chat_template": "jinja", "chat_template_jinja": TEMPLATE}
    return {"chat_template": TEMPLATES[source.recipe.chat.template]}


def _dataset(name: str, source: Handover) -> dict[str, Any]:
    # The template stands here too: a data set without one asks the tokenizer alone for it.
    found = {
        "path": name, "ds_type": "json", "type": "chat_template", "field_messages": "messages",
        "roles_to_train": ["assistant"], "train_on_eos": "turn",
        **_template_of(source),
    }  # fmt: skip
    if _some_unlearnt(source):
        # A turn that is marked is learnt or not, whatever its role.
        return {**found, "roles_to_train": [], "message_field_training": "train"}
    return found


def _some_unlearnt(source: Handover) -> bool:
    """Whether the recipe, or a row, wants answers that are not learnt."""
    return source.recipe.chat.supervise == "last" or unlearnt(source) > 0


def _marked(rows: Sequence[Row], source: Handover) -> Sequence[Row]:
    """Rows that say of each turn whether it is learnt, where not all answers are."""
    if not _some_unlearnt(source):
        return rows
    last = source.recipe.chat.supervise == "last"
    return [
        {
            **row,
            "messages": [
                {
                    **{name: part for name, part in turn.items() if name != "weight"},
                    "train": turn["role"] == "assistant"
                    and turn.get("weight") != 0
                    and (not last or place == len(row["messages"])),
                }
                for place, turn in enumerate(row["messages"], start=1)
            ],
        }
        for row in rows
    ]


def read(config: Mapping[str, Any], look: Look) -> Adopted:  # noqa: ARG001  its data need no list
    """Read a configuration.

    Raises:
        RecipeError: It trains on preferences or plain text.
    """
    for key in ("rl", "reward_model", "process_reward_model", "pretraining_dataset"):
        if config.get(key):
            raise RecipeError(
                f"{key}: {config[key]} does not train on answers.",
                fix="Import a configuration of supervised fine-tuning: leave the key out.",
            )
    own = {"bf16": partial(_precision, config), "chat_template": partial(_template, config)}
    return adopt(config, {**read_common("axolotl"), **READERS, **own}, DEFAULTS)


def _kind(value: Any) -> Meaning:
    if value in ("lora", "qlora"):
        return Meaning({"adapter.kind": "lora", "adapter.layers": "all"})
    if value is None:
        return EVERYTHING
    return Meaning(left="of adapters Fucina has LoRA")


def _linear(value: Any) -> Meaning:
    return Meaning({"adapter.target_modules": "all-linear"} if value else {})


def _layers(value: Any) -> Meaning:
    count = len(value)
    return Meaning({"adapter.layers": count}, guess=f"the top {count} layers, whichever are named")


def _rows(value: Any) -> Meaning:
    first, *more = value
    settings = {"data.train": first.get("data_files") or first.get("path")}
    kind, guesses = first.get("type"), [f"{len(more)} more data sets are left out"] if more else []
    if first.get("field_messages", "messages") not in ("messages", "conversations"):
        guesses.append(f"rename {first['field_messages']} to messages in the rows")
    if kind == "alpaca":
        settings["data.format"] = "alpaca"
    elif kind != "chat_template":
        guesses.append(f"rows of type {kind} are read as their first row looks")
    if (mark := first.get("message_field_training")) not in (None, *MARKS):
        guesses.append(f"rename {mark} to train in the turns of the rows")
    return Meaning(settings, guess="; ".join(guesses))


def _held_out(value: Any) -> Meaning:
    return Meaning({"data.validation": value[0].get("path")})


def _template(config: Mapping[str, Any], value: Any) -> Meaning:
    if value == "jinja":
        return Meaning({"chat.template": config.get("chat_template_jinja")})
    if value == "chatml":
        return Meaning({"chat.template": "chatml"})
    if str(value).startswith("tokenizer_default"):
        return Meaning({"chat.template": "auto"})
    return Meaning({"chat.template": "auto"}, guess=f"{value} became the base's own template")


def _precision(config: Mapping[str, Any], value: Any) -> Meaning:
    if value == "auto":
        return Meaning({"training.precision": "auto"})
    if not value and (config.get("fp16") or config.get("float16")):
        return Meaning(
            {"training.precision": "auto"}, guess="no half precision other than bfloat16"
        )
    return Meaning({"training.precision": "bfloat16" if value else "float32"})


def _best(value: Any) -> Meaning:
    return Meaning({"stopping.keep": "best"} if value else {})


READERS = {
    "adapter": _kind,
    "chat_template_jinja": lambda value: Meaning({"chat.template": value}),
    "datasets": _rows,
    "early_stopping_patience": stopping,
    "load_in_4bit": quantized,
    "load_in_8bit": eighths,
    "load_best_model_at_end": _best,
    "lora_target_linear": _linear,
    "optimizer": optimizer,
    "gradient_checkpointing": partial(flag, "engine.checkpointing"),
    "peft_layers_to_transform": _layers,
    "peft_use_dora": partial(flag, "adapter.dora"),
    "peft_use_rslora": partial(flag, "adapter.rslora"),
    "eval_sample_packing": same,
    "fp16": half,
    "sample_packing": same,
    "test_datasets": _held_out,
    "train_on_inputs": answers_only,
    "val_set_size": share,
}

TARGET = Target(
    "Axolotl", "config.yaml, with rows as chat messages", write, read,
    frozenset({"base_model", "datasets"}),
)  # fmt: skip
