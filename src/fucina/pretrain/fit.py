"""The loop of pretraining: packed rows, one step after the other, to the last bit repeatable."""

import math
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from fucina.errors import ResourceError, RunError
from fucina.models.precision import computes_bfloat16
from fucina.pretrain.attention import attend_in_blocks
from fucina.pretrain.optimizer import Optimizers
from fucina.records import silent
from fucina.train.schedule import rate, warmup_steps

if TYPE_CHECKING:
    from fucina.pretrain.settings import ScheduleConfig

__all__ = ["Hooks", "Rows", "Step", "fit", "order"]

SPOKEN = 10  # steps between two that are told


@dataclass(frozen=True)
class Step:
    """What a step was like.

    Attributes:
        step: Steps done, from 1.
        loss: Nats a token, mean of the steps since the last one told.
        rate: The share of the peak rates.
        norm: Of the gradients, before clipping.
        tokens: Seen so far.
        tokens_s: A second of learning, since the last one told.
    """

    step: int
    loss: float
    rate: float
    norm: float
    tokens: int
    tokens_s: float


@dataclass(frozen=True)
class Hooks:
    """Who is told.

    Attributes:
        told: Every ten steps.
        judge: Every `judge_steps`, but not at the end.
        keep: Every `checkpoint_steps`: steps done, and all that is needed to go on.
        state: What `keep` was given last, to go on from; none to begin.
        say: Shows messages.
    """

    told: Callable[[Step], None]
    judge: Callable[[int, Any], None]
    keep: Callable[[int, Mapping[str, Tensor]], None]
    state: Mapping[str, Tensor] = field(default_factory=dict)
    say: Callable[[str], None] = silent


@dataclass(frozen=True)
class Rows:
    """Pieces of text, each a row of a batch.

    Attributes:
        tokens: Arrays of token ids.
        starts: n x 2: which array, and where a row begins in it.
        length: Tokens of a row; one more is read, as what the last foretells.
    """

    tokens: Sequence[np.ndarray]
    starts: np.ndarray
    length: int

    @classmethod
    def of(cls, tokens: Sequence[np.ndarray], length: int) -> "Rows":
        """All whole rows of pieces, one behind the other.

        Raises:
            RunError: There is none.
        """
        starts = [
            np.array([(number, start) for start in range(0, len(own) - length, length)])
            for number, own in enumerate(tokens)
        ]
        whole = np.concatenate([own.reshape(-1, 2) for own in starts]).astype(np.int64)
        if not len(whole):
            raise RunError(
                f"no text is as long as a row of {length} tokens.",
                fix="Give more text, or lower training.length_tokens.",
            )
        return cls(tokens, whole, length)

    def __len__(self) -> int:
        return len(self.starts)

    def batch(self, rows: np.ndarray) -> Tensor:
        """Rows as a b x (length + 1) tensor of ids."""
        found = [
            self.tokens[which][start : start + self.length + 1].astype(np.int64)
            for which, start in self.starts[rows]
        ]
        return torch.from_numpy(np.stack(found))


def order(rows: np.ndarray, passes: np.ndarray, wanted: int, seed: int) -> np.ndarray:
    """In which order rows are seen: each round all of them in another order, each as often as due.

    Args:
        rows: n sources, the one that each row is of.
        passes: How often the rows of each source are seen in a round; of a fraction, other rows
            each round.
        wanted: Rows that are needed.
        seed: Of the order.

    Returns:
        Numbers of `wanted` rows.

    Example:
        >>> sorted(order(np.array([0, 0, 1]), np.array([1.0, 2.0]), 4, seed=0).tolist())
        [0, 1, 2, 2]
    """
    generator = np.random.default_rng(seed)
    found, count = [], 0
    while count < wanted:
        due = passes[rows]
        times = np.floor(due).astype(int) + (generator.random(len(rows)) < due % 1)
        seen = generator.permutation(np.repeat(np.arange(len(rows)), times))
        found.append(seen)
        count += len(seen)
    return np.concatenate(found)[:wanted]


def fit(network: Any, rows: Rows, seen: np.ndarray, config: "ScheduleConfig", hooks: Hooks) -> None:
    """Train a network in place.

    The weights stay in float32; where the machine multiplies bfloat16 by itself, passes run
    through a copy in bfloat16 and gradients are added up in float32.

    Args:
        network: A causal language model of transformers.
        rows: What there is to learn.
        seen: The numbers of the rows of all steps, one step after the other.
        config: How.
        hooks: Who is told, and where it goes on.
    """
    device = next(network.parameters()).device
    batch = max(1, config.batch_tokens // config.length_tokens)
    total = len(seen) // batch
    warmup = warmup_steps(config.warmup, total)
    half = computes_bfloat16(device)
    passing = _copy(network, half=half)
    loss_of = _compiled(passing, config, device, hooks.say)
    weights, copies = list(network.parameters()), list(passing.parameters())
    optimizers = Optimizers(network, config)
    first = optimizers.restore(network, hooks.state) if hooks.state else 0
    losses: list[float] = []
    told = time.perf_counter()
    for step in range(first, total):
        _refresh(copies, weights)
        sums = [torch.zeros_like(weight) for weight in weights]
        loss = 0.0
        parts = np.array_split(
            seen[step * batch : (step + 1) * batch], math.ceil(batch / config.rows_at_once)
        )
        for part in parts:
            ids = rows.batch(part).to(device)
            mean = loss_of(ids[:, :-1], ids[:, 1:])
            share = len(part) / batch
            for total_of, gradient in zip(sums, torch.autograd.grad(mean, copies), strict=True):
                total_of.add_(gradient, alpha=share)
            loss += mean.item() * share
        share = rate(step, warmup=warmup, total=total, schedule=config.schedule, decay=config.decay)
        norm = optimizers.step(weights, sums, share)
        losses.append(loss)
        done = step + 1
        if done % SPOKEN == 0 or done == total:
            now = time.perf_counter()
            tokens = len(losses) * batch * config.length_tokens
            hooks.told(
                Step(
                    done, float(np.mean(losses)), share, norm,
                    done * batch * config.length_tokens, tokens / (now - told),
                )
            )  # fmt: skip
            losses, told = [], now
        paused = time.perf_counter()
        if done % config.checkpoint_steps == 0 and done < total:
            hooks.keep(done, optimizers.state(network, done))
        if done % config.judge_steps == 0 and done < total:
            hooks.judge(done, network)
        told += time.perf_counter() - paused


def _copy(network: Any, *, half: bool) -> Any:
    """The network that passes run through: the same, or one in bfloat16."""
    import copy

    if not half:
        return network
    made = copy.deepcopy(network).bfloat16()
    if next(made.parameters()).device.type == "cpu":
        attend_in_blocks(made)
    return made


@torch.no_grad()
def _refresh(copies: list[Tensor], weights: list[Tensor]) -> None:
    if copies[0] is not weights[0]:
        torch._foreach_copy_(copies, weights)


def _compiled(
    network: Any, config: "ScheduleConfig", device: torch.device, say: Callable[[str], None]
) -> Callable[[Tensor, Tensor], Tensor]:
    """Ids and what follows each to the mean loss; compiled where that can be had.

    Words are looked up outside of what is compiled: there, threads would add up the gradients of a
    word in any order, and no run would be the same to the last bit.

    Raises:
        ResourceError: It must be compiled, and cannot be.
    """
    look_up = network.get_input_embeddings()

    def behind(words: Tensor, following: Tensor) -> Tensor:
        hidden = network.model(inputs_embeds=words, use_cache=False).last_hidden_state
        logits = network.lm_head(hidden).flatten(0, 1).float()
        return functional.cross_entropy(logits, following.flatten())

    def loss_of(ids: Tensor, following: Tensor) -> Tensor:
        return behind(look_up(ids), following)

    able = device.type == "cuda" or shutil.which("g++") or shutil.which("clang++")
    if config.compile == "off" or (config.compile == "auto" and not able):
        return loss_of
    fast = torch.compile(behind, dynamic=False)
    say("compiling the passes, about a minute.")
    rows = min(config.rows_at_once, max(1, config.batch_tokens // config.length_tokens))
    ids = torch.zeros((rows, config.length_tokens), dtype=torch.long, device=device)
    try:
        fast(look_up(ids), ids).backward()
    except Exception as error:  # a compiler without headers, an unknown processor: many classes
        why = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        if config.compile == "on":
            raise ResourceError(
                f"the passes cannot be compiled ({why}).", fix="Set training.compile: off."
            ) from error
        say(f"the passes run uncompiled, which is slower ({why}).")
        return loss_of
    finally:
        network.zero_grad(set_to_none=True)
    return lambda ids, following: fast(look_up(ids), following)
