"""Settings that another tool has too: written under its names, and read back from them."""

import re
from collections.abc import Callable, Collection, Mapping
from functools import partial
from io import StringIO
from typing import TYPE_CHECKING, Any

from ruamel.yaml import YAML

from fucina.config import NAMES
from fucina.export.handover import Adopted, Meaning

if TYPE_CHECKING:
    from fucina.config import Recipe

__all__ = ["QUIET", "adopt", "as_yaml", "known", "read_common", "written"]

Reader = Callable[[Any], Meaning]

ADAPTER = {"adapter.rank", "adapter.alpha", "adapter.dropout", "adapter.target_modules"}
# "constant" of transformers has no warm-up.
SCHEDULES = {"cosine": "cosine", "linear": "linear", "constant": "constant_with_warmup"}
LONGEST = 32768  # tokens a recipe may ask for
# Beginnings of keys that change speed, memory, logs or checkpoints, and nothing that is learnt.
QUIET = (
    "attn_implementation", "auto_resume", "cache_dir", "dataloader", "dataset_keep_in_memory",
    "dataset_num_proc", "dataset_prepared_path", "dataset_processes", "ddp", "deepspeed", "device",
    "eager_attention", "eval_batch_size", "eval_steps", "eval_strategy", "evals_per_epoch",
    "fa_varlen", "flash_att", "flex_attention", "fsdp", "gc_steps", "gpu_memory_limit",
    "gradient_checkpointing", "group_by_length", "hub_", "include_t", "liger", "enable_liger",
    "local_rank", "logging", "low_cpu_mem", "max_memory", "mlflow", "optim_args", "overwrite",
    "pad_to_", "per_device_eval_batch_size", "plot_loss", "plugins", "preprocessing", "profiler",
    "push_", "report_to", "resume_from", "run_name", "save_", "saves_per_epoch", "sdp_attention",
    "special_tokens", "strict", "swanlab", "tensorboard", "tf32", "tokenized_path",
    "tokenizer_type", "torch_compile", "trust_remote_code", "use_tensorboard", "wandb",
    "xformers", "disable_gradient_checkpointing", "use_fast_tokenizer", "model_type",
)  # fmt: skip


def written(recipe: "Recipe", tool: str, leave: Collection[str] = ()) -> dict[str, Any]:
    """The settings that only another name tells apart, under the names of a tool.

    Args:
        recipe: The settings.
        tool: A column of the table of names.
        leave: Settings that the tool writes in a way of its own.

    Example:
        >>> from fucina.recipe import parse
        >>> recipe, _ = parse("{task: chat, name: a, data: {train: a}, adapter: {rank: 8}}")
        >>> written(recipe, "axolotl")["lora_r"]
        8
    """
    found: dict[str, Any] = {}
    done = set(leave)
    if recipe.adapter.kind == "full":
        done |= ADAPTER
    for row in NAMES:
        name, value = getattr(row, tool), _value(recipe, row.setting)
        if not name or row.setting in done or value is None:
            continue
        if row.setting == "training.warmup" and (name == "warmup_ratio") != (value < 1):
            continue
        done.add(row.setting)
        found[name] = _theirs(row.setting, value)
    return found


def known(tool: str) -> set[str]:
    """The settings that a tool has a name for."""
    return {row.setting for row in NAMES if getattr(row, tool)}


def _value(recipe: "Recipe", setting: str) -> Any:
    place: Any = recipe
    for part in setting.split("."):
        place = getattr(place, part)
    return place


def _theirs(setting: str, value: Any) -> Any:
    if setting == "training.schedule":
        return SCHEDULES[value]
    if setting == "training.warmup" and value >= 1:
        return round(value)
    return round(value) if setting == "adapter.alpha" else value


def read_common(tool: str) -> dict[str, Reader]:
    """Functions that read the keys of the table of names."""
    return {name: partial(_ours, row.setting) for row in NAMES if (name := getattr(row, tool))}


def _ours(setting: str, value: Any) -> Meaning:
    if setting == "training.schedule":
        return _schedule(str(value))
    if setting == "model.max_length_tokens" and value > LONGEST:
        return Meaning({setting: LONGEST}, guess=f"{value} tokens became {LONGEST}, the most")
    if setting == "training.epochs" and float(value) != int(value):
        whole = int(value) + 1
        return Meaning({setting: whole}, guess=f"{value} epochs became {whole}, whole ones only")
    if setting == "training.epochs":
        return Meaning({setting: int(value)})
    if setting == "training.learning_rate":
        return Meaning({setting: float(value)})  # YAML 1.1 reads 2e-4 as text
    return Meaning({setting: value})


def _schedule(value: str) -> Meaning:
    same = {theirs: ours for ours, theirs in SCHEDULES.items()}
    if value in same:
        return Meaning({"training.schedule": same[value]})
    if value == "constant":
        return Meaning({"training.schedule": "constant", "training.warmup": 0.0})
    near = "cosine" if value.startswith("cosine") else "linear"
    return Meaning(
        {"training.schedule": near}, guess=f"{value} became {near}, the nearest there is"
    )


def adopt(
    config: Mapping[str, Any],
    readers: Mapping[str, Reader],
    defaults: Mapping[str, Any],
) -> Adopted:
    """Read every key of a configuration, and what the tool assumes where it has none.

    Args:
        config: As it was written.
        readers: Key to a function that says what its value means.
        defaults: Key to the tool's default.
    """
    keys = {
        key: readers[key](value) if key in readers else _unknown(key)
        for key, value in config.items()
        if value is not None
    }
    given = {setting for meaning in keys.values() for setting in meaning.settings}
    assumed = {}
    for key, value in defaults.items():
        meaning = readers[key](value)
        if config.get(key) is None and not given & meaning.settings.keys():
            assumed[f"{key}: {value}"] = meaning
    return Adopted(keys, assumed)


def _unknown(key: str) -> Meaning:
    if key.startswith(QUIET):
        return Meaning(left="speed, memory, logs or checkpoints only")
    return Meaning(left="Fucina has nothing like it")


def as_yaml(settings: Mapping[str, Any]) -> str:
    r"""Settings as YAML that PyYAML, which those tools use, reads alike.

    Example:
        >>> as_yaml({"learning_rate": 2e-05, "bf16": True})
        'learning_rate: 2.0e-05\nbf16: true\n'
    """
    stream = StringIO()
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False
    yaml.allow_unicode = True
    yaml.dump(dict(settings), stream)
    # PyYAML takes a number without a point, such as 2e-05, for text.
    return re.sub(r"(: -?\d+)(e[-+]\d+)$", r"\1.0\2", stream.getvalue(), flags=re.MULTILINE)
