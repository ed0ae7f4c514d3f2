"""One optimizer step of all members, and what happens when memory or numbers give out."""

from collections.abc import Callable
from concurrent.futures import Executor, wait

import numpy as np

from fucina.errors import ResourceError
from fucina.models import memory
from fucina.train.batches import Chunk, at_most, chunks
from fucina.train.members import Gradients, Loop

__all__ = ["BAD_STEPS", "all_bad", "step", "summed"]

BAD_STEPS = 3  # in a row; fewer may be one strange batch, more will not mend themselves


def step(
    loop: Loop,
    batch: np.ndarray,
    shares: list[float],
    threads: Executor,
    noise: int,
    tell: Callable[[str], None],
) -> np.ndarray:
    """Take one optimizer step.

    Where memory runs out the rows of a pass are halved and the step is repeated: its gradients
    are the same sums. A member whose loss or gradient is not a number stands still in this step.

    Args:
        loop: The members.
        batch: k x b rows, -1 for none.
        shares: Each member's share of the peak learning rates.
        threads: Where passes run.
        noise: Seeds dropout.
        tell: Takes a sentence for people.

    Returns:
        Per member: summed loss, its weight and gradient norm; zeros where it stood still.

    Raises:
        ResourceError: A single row does not fit in memory.
    """
    weights = np.where(batch >= 0, loop.material.weights[batch], 0.0).sum(axis=1)
    while True:
        # Accumulation bounds memory too: no pass holds more rows of a member than one batch.
        parts = at_most(chunks(batch, loop.material.lengths), loop.batch_rows)
        try:
            adapters, heads, losses = loop.kind.gradients(loop, parts, weights, threads, noise)
            break
        except Exception as error:
            if not memory.ran_out(error):
                raise
            _halve(loop, error, tell)
        memory.free()
    sound = np.isfinite(losses)
    norms = loop.optimizer.step(adapters, heads, (weights > 0) & sound, shares)
    sound &= np.isfinite(norms)
    for member, count, good in zip(loop.active, weights, sound, strict=True):
        member.steps += int(count > 0)
        member.bad_steps = 0 if good else member.bad_steps + 1
        if not good and member.bad_steps <= BAD_STEPS:
            end = "" if member.bad_steps < BAD_STEPS else "; its last good weights are kept"
            tell(
                f"member {member.index + 1}: loss or gradient of step {member.steps} is not a "
                f"number, the step is skipped{end}."
            )
    return np.where(sound[:, None], np.stack([losses, weights, norms], axis=1), 0.0)


def summed(
    gradients: Callable[[Chunk, int], Gradients],
    parts: list[Chunk],
    threads: Executor,
    noise: int,
) -> Gradients:
    """Compute the gradients of all passes of a step, and add them up.

    Args:
        gradients: A pass and what seeds its dropout, to its gradients.
        parts: The passes.
        threads: Where they run.
        noise: Seeds dropout.
    """
    jobs = [
        threads.submit(gradients, part, noise * 4099 + number) for number, part in enumerate(parts)
    ]
    wait(jobs)  # also those that follow a failed one: they hold memory until they end
    results = [job.result() for job in jobs]
    adapters, heads = results[0][0], results[0][1]
    for result in results[1:]:  # always in this order, so that sums are the same every time
        adapters += result[0]
        heads += result[1]
    return adapters, heads, np.sum([result[2] for result in results], axis=0)


def _halve(loop: Loop, error: Exception, tell: Callable[[str], None]) -> None:
    """Halve the rows of a pass; the rows of a step stay, so accumulation doubles."""
    before = loop.batch_rows
    if before == 1:
        raise ResourceError(
            "one single text at a time does not fit in memory.",
            fix="Set engine.checkpointing=true or model.quantize=nf4 where they are not set yet; "
            "else lower model.max_length_tokens, adapt fewer adapter.layers, or use fewer folds.",
        ) from error
    loop.batch_rows = -(-before // 2)
    times = -(-loop.step_rows // loop.batch_rows)
    tell(
        f"out of memory with {before} rows at once: batch_size is now {loop.batch_rows} and "
        f"accumulation {times}; a step still learns from {loop.step_rows} rows. Larger batches may "
        "fit with engine.checkpointing=true."
    )


def all_bad(loop: Loop) -> bool:
    """Whether no member of the stack can go on."""
    return all(member.bad_steps >= BAD_STEPS for member in loop.active)
