"""`fucina pretrain`: texts → words → pieces of tokens → network → bits a byte → a base model."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fucina import run
from fucina.errors import RunError
from fucina.records import Progress, silent
from fucina.settings_file import write_yaml

if TYPE_CHECKING:
    from fucina.pretrain.fit import Step
    from fucina.pretrain.settings import PretrainRecipe
    from fucina.pretrain.texts import Texts

__all__ = ["Pretrained", "pretrain"]

CHECKPOINT = "checkpoint.safetensors"
KNOWN = "recipe.yaml"
ORDER = 5  # of the free baseline
SAMPLE_TOKENS = 80
GLANCED = 16_384  # tokens of each held-out text that are looked at on the way
SAID = 100  # steps between two that are told in words


@dataclass(frozen=True)
class Pretrained:
    """A base model that was made.

    Attributes:
        folder: Of the model; `model.base` may name it.
        parameters: Its weights.
        tokens: Seen.
        seconds: Of the loop.
        bits: Held-out text to what it was judged by: bits a byte of `model`, of the `untrained`
            network, and of the free baseline `5-gram`, with `language`, `domain` and `bytes`.
        samples: Beginnings of texts to what it writes behind them.
    """

    folder: str
    parameters: int
    tokens: int
    seconds: float
    bits: Mapping[str, Mapping[str, Any]]
    samples: Mapping[str, str] = field(default_factory=dict)


def pretrain(
    recipe: "PretrainRecipe",
    root: Path,
    *,
    progress: Progress = silent,
    say: Callable[[str], None] = silent,
    resume: bool = False,
) -> Pretrained:
    """Make a base model of texts.

    Args:
        recipe: What to do.
        root: The folder that paths in the recipe are relative to.
        progress: Shows steps.
        say: Shows messages.
        resume: Go on where a run of this recipe was stopped.

    Raises:
        FucinaError: Whatever is wrong with recipe, texts or machine.
    """
    folder = Path(recipe.output) / recipe.name
    with run.hold(folder):
        _begin(folder, recipe, resume=resume)
        return _made(recipe, root, folder, progress, say)


def _made(
    recipe: "PretrainRecipe", root: Path, folder: Path, progress: Progress,
    say: Callable[[str], None],
) -> Pretrained:  # fmt: skip
    """What a folder that is ready is filled with."""
    import torch

    from fucina.pretrain.fit import Hooks, Rows, fit, order
    from fucina.pretrain.network import build
    from fucina.pretrain.texts import END, prepare

    texts = prepare(recipe, root, folder / "tokens", progress=progress)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    tokenizer, config = texts.tokenizer, recipe.training

    def fresh() -> Any:
        return build(
            recipe.network, vocabulary=len(tokenizer), end=tokenizer.eos_token_id, pad=END,
            seed=recipe.seed,
        ).to(device)  # fmt: skip

    network = fresh()
    parameters = sum(weight.numel() for weight in network.parameters())
    rows = Rows.of(texts.tokens, config.length_tokens)
    sources = np.array([shard.source for shard in texts.shards])[rows.starts[:, 0]]
    batch = max(1, config.batch_tokens // config.length_tokens)
    steps = max(1, config.tokens // (batch * config.length_tokens))
    passes = np.array([corpus.passes for corpus in recipe.corpus])
    seen = order(sources, passes, steps * batch, recipe.seed)
    say(
        f"{sum(shard.tokens for shard in texts.shards):,} tokens of "
        f"{sum(shard.bytes for shard in texts.shards) / 1e6:.1f} MB in {len(recipe.corpus)} texts; "
        f"{parameters:,} weights; {steps:,} steps of {batch * config.length_tokens:,} tokens."
    )
    told = _Teller(folder, steps, _share_of_peak(network, config.length_tokens), progress, say)
    state = run.read_tensors(folder / CHECKPOINT) if (folder / CHECKPOINT).is_file() else {}
    if state:
        say(f"going on behind step {int(state['step']):,}.")

    def judge(step: int, network: Any) -> None:
        looked = _bits(texts, network, recipe, GLANCED)
        found = {name: facts["model"] for name, facts in looked.items()}
        run.append_event(folder, "judged", {"step": step, "bits_a_byte": found})
        if found:
            say(f"step {step:,}: {sum(found.values()) / len(found):.3f} bits a byte held out")

    def keep(step: int, state: Mapping[str, Any]) -> None:
        run.write_tensors(folder / CHECKPOINT, state, {"step": str(step)})

    fit(network, rows, seen, config, Hooks(told, judge, keep, state, say))
    bits = _judged(texts, network, fresh(), recipe, progress)
    samples = _samples(recipe, network, tokenizer)
    made = Pretrained(
        str(folder / "model"), parameters, steps * batch * config.length_tokens,
        _seconds(folder, batch * config.length_tokens), bits,
        samples,
    )  # fmt: skip
    _save(folder, network, tokenizer, made)
    (folder / CHECKPOINT).unlink(missing_ok=True)
    return made


def _begin(folder: Path, recipe: "PretrainRecipe", *, resume: bool) -> None:
    """Make the folder of a recipe ready to be written to; never one that holds something else."""
    if (folder / "model").is_dir():
        raise RunError(
            f"{folder / 'model'} is there already.", fix="Set another name:, or delete the folder."
        )
    if (folder / CHECKPOINT).is_file() and not (resume and _goes_on(folder, recipe)):
        raise RunError(
            f"{folder} holds an unfinished run"
            + (" of another recipe." if resume else ", which would be lost."),
            fix="Use --resume with the recipe as it was, set another name:, or delete the folder.",
        )
    run.write_text(folder / KNOWN, write_yaml(recipe))


def _goes_on(folder: Path, recipe: "PretrainRecipe") -> bool:
    """Whether an unfinished run is of this recipe; only how long it lasts may be another.

    The rate of `wsd` does not depend on that before it decays, nor does the order of rows: what
    comes out is what the new recipe alone would have made.
    """
    from fucina.pretrain import recipe as recipes

    before = recipes.load(folder / KNOWN)
    if before == recipe:
        return True
    config = recipe.training
    told = before.training.model_copy(update={"tokens": config.tokens})
    alike = before.model_copy(update={"training": told}) == recipe
    step = int(run.read_tensors(folder / CHECKPOINT)["step"])
    stable = (1 - config.decay) * min(before.training.tokens, config.tokens)
    return (
        alike
        and config.schedule == "wsd"
        and config.warmup >= 1
        and step * config.batch_tokens <= stable
    )


def _share_of_peak(network: Any, length: int) -> float:
    """What a token a second is of all that bare products reach on this machine (MFU)."""
    from fucina.models import threads
    from fucina.models.precision import computes_bfloat16
    from fucina.plan import product_rate
    from fucina.pretrain.network import flops_a_token

    half = computes_bfloat16(next(network.parameters()).device)
    with threads.start() as pool:
        return flops_a_token(network, length) / product_rate(
            pool, "bfloat16" if half else "float32"
        )


class _Teller:
    """Writes the steps to the log of the run and shows them; every hundredth with its numbers."""

    def __init__(
        self,
        folder: Path,
        steps: int,
        share: float,
        progress: Progress,
        say: Callable[[str], None],
    ) -> None:
        self.folder, self.steps, self.share = folder, steps, share
        self.progress, self.say = progress, say

    def __call__(self, step: "Step") -> None:
        used = step.tokens_s * self.share
        run.append_event(self.folder, "step", {**asdict(step), "mfu": round(used, 4)})
        self.progress("pretraining", step.step, self.steps)
        if step.step % SAID == 0 or step.step == self.steps:
            self.say(
                f"step {step.step:,} of {self.steps:,}: loss {step.loss:.3f}, "
                f"{step.tokens_s:,.0f} tokens/s, MFU {used:.0%}"
            )


def _seconds(folder: Path, tokens: int) -> float:
    """What all steps took, those before a stop too; a step that was done twice counts once."""
    told = {e["step"]: e["tokens_s"] for e in run.read_events(folder) if e["event"] == "step"}
    counts = zip(sorted(told), [0, *sorted(told)], strict=False)
    return sum((step - before) * tokens / told[step] for step, before in counts)


def _bits(
    texts: "Texts", network: Any, recipe: "PretrainRecipe", tokens: int | None = None
) -> dict[str, dict[str, Any]]:
    """What a network makes of each held-out text, or of its first tokens."""
    from fucina.pretrain.judge import bits_a_byte
    from fucina.pretrain.texts import END

    found = {}
    for held in texts.held_out:
        ids = held.tokens[:tokens]
        size = held.bytes * len(ids) / len(held.tokens)
        bits = bits_a_byte(network, ids, size, length=recipe.training.length_tokens, begin=END)
        found[held.name] = {
            "language": held.language, "domain": held.domain, "bytes": held.bytes, "model": bits
        }  # fmt: skip
    return found


def _judged(
    texts: "Texts", network: Any, untrained: Any, recipe: "PretrainRecipe", progress: Progress
) -> dict[str, dict[str, Any]]:
    """The network beside itself before training, and a 5-gram of the same tokens."""
    from fucina.pretrain.ngrams import NGrams, bits_per_byte

    found = _bits(texts, network, recipe)
    before = _bits(texts, untrained, recipe)
    if not found:
        return found
    free = NGrams.learn(
        texts.tokens, order=ORDER, vocabulary=len(texts.tokenizer), progress=progress
    )
    for held in texts.held_out:
        found[held.name]["untrained"] = before[held.name]["model"]
        found[held.name][f"{ORDER}-gram"] = bits_per_byte(
            free.log2_probabilities(held.tokens), held.bytes
        )
    return found


def _samples(recipe: "PretrainRecipe", network: Any, tokenizer: Any) -> dict[str, str]:
    from fucina.pretrain.judge import continued

    written = continued(network, tokenizer, recipe.prompts, tokens=SAMPLE_TOKENS, seed=recipe.seed)
    return dict(zip(recipe.prompts, written, strict=True))


def _save(folder: Path, network: Any, tokenizer: Any, made: Pretrained) -> None:
    """Write the model in bfloat16, whole or not at all, with the sums of its files."""
    from tempfile import mkdtemp

    import torch
    import transformers

    from fucina.models.sums import write_sums

    transformers.logging.disable_progress_bar()
    beside = Path(mkdtemp(dir=folder))
    network.to("cpu", torch.bfloat16).save_pretrained(beside)
    tokenizer.save_pretrained(beside)
    write_sums(beside)
    beside.chmod(0o755)  # a temporary folder is for its maker alone
    for path in beside.iterdir():
        path.chmod(0o644)
    run.write_json(folder / "metrics.json", asdict(made))
    run.move_whole(beside, folder / "model")
