"""What other tools call the settings of a recipe: one table, for reading and for writing theirs."""

from typing import NamedTuple

__all__ = ["ALIASES", "NAMES", "Names"]


class Names(NamedTuple):
    """One setting and its name elsewhere; empty where a tool has none."""

    setting: str
    axolotl: str = ""
    llamafactory: str = ""
    trl: str = ""  # transformers, PEFT and TRL, and so Unsloth


# The first name of a setting that a tool has is the one that is written.
NAMES = (
    Names("model.base", "base_model", "model_name_or_path", "model_name"),
    Names("model.max_length_tokens", "sequence_len", "cutoff_len", "max_seq_length"),
    Names("model.max_length_tokens", trl="max_length"),
    Names("adapter.rank", "lora_r", "lora_rank", "r"),
    Names("adapter.alpha", "lora_alpha", "lora_alpha", "lora_alpha"),
    Names("adapter.dropout", "lora_dropout", "lora_dropout", "lora_dropout"),
    Names("adapter.target_modules", "lora_target_modules", "lora_target", "target_modules"),
    Names("training.epochs", "num_epochs", "num_train_epochs", "num_train_epochs"),
    Names(
        "training.batch_size", "micro_batch_size",
        "per_device_train_batch_size", "per_device_train_batch_size",
    ),
    Names(
        "training.accumulation", "gradient_accumulation_steps",
        "gradient_accumulation_steps", "gradient_accumulation_steps",
    ),
    Names("training.learning_rate", "learning_rate", "learning_rate", "learning_rate"),
    Names("training.schedule", "lr_scheduler", "lr_scheduler_type", "lr_scheduler_type"),
    Names("training.warmup", "warmup_ratio", "warmup_ratio", "warmup_ratio"),
    Names("training.warmup", "warmup_steps", "warmup_steps", "warmup_steps"),
    Names("training.weight_decay", "weight_decay", "weight_decay", "weight_decay"),
    Names("training.max_gradient_norm", "max_grad_norm", "max_grad_norm", "max_grad_norm"),
    Names(
        "stopping.patience", "early_stopping_patience",
        "early_stopping_steps", "early_stopping_patience",
    ),
    Names("data.validation_share", "val_set_size", "val_size"),
    Names("data.text", trl="text_column"),
    Names("data.label", trl="label_column"),
    Names("chat.system", "default_system_message", "default_system"),
    Names("chat.max_new_tokens", llamafactory="max_new_tokens", trl="max_new_tokens"),
    Names("output", "output_dir", "output_dir", "output_dir"),
    Names("seed", "seed", "seed", "seed"),
)  # fmt: skip

# Names that are read; their values are called otherwise here, so that they are not written as such.
READ = (
    Names("model.quantize", "load_in_4bit", "quantization_bit", "load_in_4bit"),
    Names("adapter.rslora", "peft_use_rslora", "use_rslora", "use_rslora"),
    Names("adapter.dora", "peft_use_dora", "use_dora", "use_dora"),
    Names("engine.optimizer", "optimizer", "optim", "optim"),
    Names("engine.checkpointing", "gradient_checkpointing", trl="gradient_checkpointing"),
    Names("engine.backend", llamafactory="use_unsloth"),
)

# Any of these names to where it lives here.
ALIASES = {
    name: row.setting
    for row in (*NAMES, *READ)
    for name in row[1:]
    if name not in ("", row.setting)
}
