"""LLaMA-Factory: a YAML file, and its rows as dataset_info.json lists them (keys of 0.9)."""

import json
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from fucina.errors import RecipeError
from fucina.export.handover import Adopted, Bundle, Handover, Look, Meaning, Row, Target
from fucina.export.lost import comments, losses
from fucina.export.rows import json_lines
from fucina.export.settings import adopt, as_yaml, known, read_common, written
from fucina.export.theirs import (
    EVERYTHING,
    answers_only,
    flag,
    half,
    optimizer,
    quantized,
    same,
    share,
)
from fucina.export.theirs import stopping as ends

if TYPE_CHECKING:
    from fucina.config import Recipe

__all__ = ["TARGET"]

COMMAND = "llamafactory-cli train train.yaml"
ATTENTION = "q_proj,k_proj,v_proj,o_proj"
LISTED = "dataset_info.json"
# Not its "openai" form: that one adds words of its own to the system's turn.
TAGS = {
    "role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant",
    "observation_tag": "tool", "function_tag": "function_call", "system_tag": "system",
}  # fmt: skip
OWN = ("adapter.target_modules", "stopping.patience", "data.validation_share", "chat.system")
CARRIED = {
    "model.quantize", "adapter.rslora", "adapter.dora", "engine.optimizer", "engine.checkpointing",
    "engine.backend", "training.precision", "chat.supervise", "adapter.kind",
}  # fmt: skip
OPTIMIZERS = {"adamw": "adamw_torch_fused", "adamw_8bit": "adamw_8bit"}
FOUR_BITS = {"quantization_bit": 4, "quantization_type": "nf4", "double_quantization": True}
DEFAULTS = {
    "finetuning_type": "lora", "lora_rank": 8, "lora_target": "all", "lora_dropout": 0.0,
    "num_train_epochs": 3.0, "per_device_train_batch_size": 8, "gradient_accumulation_steps": 1,
    "learning_rate": 5e-5, "lr_scheduler_type": "linear", "warmup_ratio": 0.0,
    "weight_decay": 0.0, "max_grad_norm": 1.0, "cutoff_len": 2048, "max_new_tokens": 1024,
    "seed": 42, "early_stopping_steps": None, "lora_alpha": None,
}  # fmt: skip


def write(source: Handover) -> Bundle:
    """Write a configuration, its rows, and the list that they are found by.

    Raises:
        RecipeError: The template is a file, which LLaMA-Factory cannot read.
    """
    recipe = source.recipe
    if source.template is not None:
        raise RecipeError(
            "LLaMA-Factory reads no template from a file.",
            fix="Set chat.template=chatml, or auto for the base's own.",
        )
    lost = losses(source, known("llamafactory") | CARRIED | {"chat.template"})
    lora, checkpointing = recipe.adapter.kind == "lora", recipe.engine.checkpointing
    settings: dict[str, Any] = {
        **written(recipe, "llamafactory", leave=OWN),
        "stage": "sft",
        "do_train": True,
        "do_eval": True,
        "finetuning_type": recipe.adapter.kind,
        **(_adapter(recipe) if lora else {}),
        "dataset_dir": ".",
        "dataset": "train",
        "eval_dataset": "validation",
        # Without a name the base's own template is read.
        **({"template": "chatml"} if recipe.chat.template == "chatml" else {}),
        "mask_history": recipe.chat.supervise == "last",
        "bf16": recipe.training.precision != "float32",
        "optim": OPTIMIZERS[recipe.engine.optimizer],
        **(
            {} if checkpointing == "auto" else {"disable_gradient_checkpointing": not checkpointing}
        ),
        "early_stopping_steps": recipe.stopping.patience,
        "load_best_model_at_end": True,
        "metric_for_best_model": "eval_loss",
        "greater_is_better": False,
        "eval_strategy": "epoch",
        "save_strategy": "epoch",
    }
    rows = {"train": source.train, "validation": source.validation, "test": source.test}
    texts = {f"{name}.jsonl": json_lines(map(_turns, part)) for name, part in rows.items()}
    tools = any("tools" in row for part in rows.values() for row in part)
    listed = {name: _entry(f"{name}.jsonl", tools=tools) for name in rows}
    if tools:  # every row needs the column that the list names
        texts = {
            f"{name}.jsonl": json_lines({"tools": "", **_turns(row)} for row in part)
            for name, part in rows.items()
        }
    head = comments(TARGET.title, source, COMMAND, lost)
    files = {
        "train.yaml": head + as_yaml(settings),
        LISTED: json.dumps(listed, indent=2) + "\n",
        **texts,
    }
    return Bundle("train.yaml", files, COMMAND, tuple(lost))


def _adapter(recipe: "Recipe") -> dict[str, Any]:
    return {
        "lora_target": _targets(recipe.adapter.target_modules),
        **(FOUR_BITS if recipe.model.quantize == "nf4" else {}),
        **({"use_rslora": True} if recipe.adapter.rslora else {}),
        **({"use_dora": True} if recipe.adapter.dora else {}),
        **({"use_unsloth": True} if recipe.engine.backend == "unsloth" else {}),
    }


def _targets(targets: str | Sequence[str]) -> str:
    if targets == "all-linear":
        return "all"
    if targets == "attention":
        return ATTENTION
    return targets if isinstance(targets, str) else ",".join(targets)


def _entry(name: str, *, tools: bool) -> dict[str, Any]:
    columns = {"messages": "messages", **({"tools": "tools"} if tools else {})}
    return {"file_name": name, "formatting": "sharegpt", "columns": columns, "tags": TAGS}


def _turns(row: Row) -> dict[str, Any]:
    """A row whose calls are turns of their own, and whose answers of tools are one turn."""
    kept: list[dict[str, Any]] = []
    for turn in row["messages"]:
        calls = [call["function"] for call in turn.get("tool_calls", ())]
        role = "function_call" if calls else turn["role"]
        content = json.dumps(calls, ensure_ascii=False) if calls else turn["content"]
        if kept and role == "tool" == kept[-1]["role"]:
            kept[-1]["content"] += f"\n{content}"
        else:
            kept.append({"role": role, "content": content})
    tools = {"tools": json.dumps(row["tools"], ensure_ascii=False)} if "tools" in row else {}
    return {"messages": kept, **tools}


def read(config: Mapping[str, Any], look: Look) -> Adopted:
    """Read a configuration.

    Args:
        config: Its keys.
        look: Reads the list of data sets beside it.

    Raises:
        RecipeError: It trains on preferences or plain text.
    """
    stage = config.get("stage", "sft")
    if stage != "sft":
        raise RecipeError(
            f"stage: {stage} does not train on answers.",
            fix="Import a configuration of supervised fine-tuning: stage: sft.",
        )

    rank = int(config.get("lora_rank", DEFAULTS["lora_rank"]))
    own = {
        "dataset": partial(_rows, "data.train", config, look),
        "eval_dataset": partial(_rows, "data.validation", config, look),
        "finetuning_type": partial(_kind, config),
        "lora_alpha": partial(_alpha, rank),
    }
    return adopt(config, {**read_common("llamafactory"), **READERS, **own}, DEFAULTS)


def _rows(setting: str, config: Mapping[str, Any], look: Look, value: Any) -> Meaning:
    """The file of a data set, as the list names it."""
    first, *more = [name.strip() for name in str(value).split(",")]
    guesses = [f"of the data sets {first} alone is read"] if more else []
    folder = str(config.get("dataset_dir", "data")).rstrip("/")
    listed = look(f"{folder}/{LISTED}") or {}
    entry = listed.get(first, {})
    if not entry:
        guesses.append(f"{LISTED} has no {first}: its file is guessed")
    name = f"{folder}/{entry.get('file_name', f'{first}.json')}"
    settings: dict[str, Any] = {setting: name}
    columns = entry.get("columns", {})
    if entry.get("formatting", "alpaca") == "alpaca" and columns and setting == "data.train":
        renamed = {"prompt": columns.get("prompt"), "answer": columns.get("response")}
        settings["data.columns"] = {field: name for field, name in renamed.items() if name}
        if columns.get("query"):
            guesses.append(f"the column {columns['query']} is not read")
    elif columns.get("messages", "messages") not in ("messages", "conversations"):
        guesses.append(f"rename {columns['messages']} to messages in the rows")
    return Meaning(settings, guess="; ".join(guesses))


def _kind(config: Mapping[str, Any], value: Any) -> Meaning:
    if value == "lora":
        return Meaning({"adapter.kind": "lora", "adapter.layers": "all"})
    if value == "full":
        return EVERYTHING
    if value == "freeze":
        count = int(config.get("freeze_trainable_layers", 2))
        if count > 0:
            return Meaning({"adapter.kind": "full", "adapter.layers": count})
    return Meaning(left="lora, full, and the top layers in full are what Fucina trains")


def _adapted(value: Any) -> Meaning:
    names = [name.strip() for name in value.split(",")] if isinstance(value, str) else list(value)
    targets = "all-linear" if names == ["all"] else names[0] if len(names) == 1 else names
    return Meaning({"adapter.target_modules": targets})


def _alpha(rank: int, value: Any) -> Meaning:
    return Meaning({"adapter.alpha": value or 2 * rank})


def _template(value: Any) -> Meaning:
    if value == "chatml":
        return Meaning({"chat.template": "chatml"})
    return Meaning({"chat.template": "auto"}, guess=f"{value} became the base's own template")


def _kept(value: Any) -> Meaning:
    return Meaning({"engine.checkpointing": not value})


def _backend(value: Any) -> Meaning:
    return Meaning({"engine.backend": "unsloth"} if value else {})


def _history(value: Any) -> Meaning:
    return Meaning({"chat.supervise": "last" if value else "assistant"})


def _precision(value: Any) -> Meaning:
    return Meaning({"training.precision": "auto" if value else "float32"})


def _best(value: Any) -> Meaning:
    return Meaning({"stopping.keep": "best"} if value else {})


READERS = {
    **dict.fromkeys(
        ("stage", "do_train", "do_eval", "dataset_dir", "metric_for_best_model",
         "greater_is_better", "freeze_trainable_layers", "quantization_type",
         "double_quantization"),
        lambda _: Meaning(),
    ),
    **dict.fromkeys(("packing", "neat_packing"), same),
    "bf16": _precision,
    "disable_gradient_checkpointing": _kept,
    "early_stopping_steps": ends,
    "fp16": half,
    "load_best_model_at_end": _best,
    "lora_target": _adapted,
    "mask_history": _history,
    "optim": optimizer,
    "quantization_bit": quantized,
    "template": _template,
    "train_on_prompt": answers_only,
    "use_dora": partial(flag, "adapter.dora"),
    "use_rslora": partial(flag, "adapter.rslora"),
    "use_unsloth": _backend,
    "val_size": share,
}  # fmt: skip

TARGET = Target(
    "LLaMA-Factory", "train.yaml and dataset_info.json, with rows as ShareGPT turns", write, read,
    frozenset({"model_name_or_path"}),
)  # fmt: skip
