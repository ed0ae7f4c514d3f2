"""The loss of learnt tokens: a large vocabulary is never kept for the way back.

With a frozen head the gradient of a token's loss is (softmax - one-hot) W, known as soon as the
loss is. It is kept instead of the logits, which for 262,144 tokens of a vocabulary would take a
mebibyte for each learnt token (the idea of Liger and Cut Cross-Entropy, arXiv 2411.09009).
"""

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from fucina.models.product import linear

__all__ = ["BLOCK_BYTES", "step_losses", "token_losses", "token_scores"]

BLOCK_BYTES = 64 << 20  # of logits at once


class _FrozenHead(torch.autograd.Function):
    """Cross entropy of T tokens under a frozen linear head with a soft cap."""

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, cap: float
    ) -> Tensor:
        losses = torch.empty(len(hidden), dtype=torch.float32, device=hidden.device)
        keeps = ctx.needs_input_grad[0]
        gradient = torch.empty_like(hidden) if keeps else None
        block = max(1, BLOCK_BYTES // (4 * len(weight)))
        for begin in range(0, len(hidden), block):
            part = slice(begin, begin + block)
            logits = linear(hidden[part], weight, bias).float()
            bent = torch.tanh(logits / cap) if cap else logits
            logits = cap * bent if cap else logits
            log_p = functional.log_softmax(logits, dim=-1)
            losses[part] = -log_p.gather(1, targets[part, None])[:, 0]
            if gradient is not None:
                slope = log_p.exp_()
                slope.scatter_add_(1, targets[part, None], slope.new_full((len(slope), 1), -1.0))
                if cap:
                    slope *= 1 - bent.square()
                gradient[part] = linear(slope.to(weight.dtype), weight.t())
        ctx.save_for_backward(gradient)
        return losses

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple:
        (gradient,) = ctx.saved_tensors
        return gradient * grads[0][:, None].to(gradient.dtype), None, None, None, None


def token_losses(hidden: Tensor, head: nn.Module, targets: Tensor, *, cap: float = 0.0) -> Tensor:
    """Cross entropy of each of T tokens, in nats.

    Args:
        hidden: T x d states that foretell them.
        head: The layer that writes tokens, vocabulary x d.
        targets: T tokens.
        cap: Logits are bent to stay within this (Gemma 2); 0 for not.

    Example:
        >>> head = nn.Linear(2, 3, bias=False).requires_grad_(False)
        >>> found = token_losses(torch.zeros(1, 2), head, torch.tensor([0]))
        >>> f"{found.item():.4f}"  # nothing known: log 3
        '1.0986'
    """
    weight, bias = _parameters(head)
    if not weight.requires_grad:
        return _FrozenHead.apply(hidden, weight, bias, targets, cap)
    logits = functional.linear(hidden, weight, bias).float()
    if cap:
        logits = cap * torch.tanh(logits / cap)
    return functional.cross_entropy(logits, targets, reduction="none")


def _parameters(head: nn.Module) -> tuple[Tensor, Tensor | None]:
    return cast("Tensor", head.weight), cast("Tensor | None", getattr(head, "bias", None))


def token_scores(
    hidden: Tensor, head: nn.Module, targets: Tensor, *, cap: float = 0.0
) -> tuple[Tensor, Tensor]:
    """Cross entropy of each of T tokens, and whether it was foretold, without gradients.

    Args:
        hidden: T x d states that foretell them.
        head: The layer that writes tokens.
        targets: T tokens.
        cap: As in `token_losses`.

    Returns:
        T nats and T booleans.
    """
    weight, bias = _parameters(head)
    losses = torch.empty(len(hidden), dtype=torch.float32, device=hidden.device)
    hits = torch.empty(len(hidden), dtype=torch.bool, device=hidden.device)
    block = max(1, BLOCK_BYTES // (4 * len(weight)))
    with torch.no_grad():
        for begin in range(0, len(hidden), block):
            part = slice(begin, begin + block)
            logits = linear(hidden[part], weight, bias).float()
            hits[part] = logits.argmax(dim=-1) == targets[part]  # a cap keeps the order
            logits = cap * torch.tanh(logits / cap) if cap else logits
            losses[part] = functional.cross_entropy(logits, targets[part], reduction="none")
    return losses, hits


def step_losses(
    hidden: Tensor, head: nn.Module, sources: Tensor, targets: Tensor, *, cap: float = 0.0
) -> Tensor:
    """Cross entropy of steps of which several are foretold from one state, without gradients.

    Args:
        hidden: b x S x d states.
        head: The layer that writes tokens.
        sources: E numbers of the state that each step is foretold from, the same in all rows.
        targets: E tokens.
        cap: As in `token_losses`.

    Returns:
        b x E nats.

    Example:
        >>> head, sources = nn.Linear(2, 3, bias=False), torch.tensor([0, 0])
        >>> step_losses(torch.zeros(1, 1, 2), head, sources, torch.tensor([0, 2])).exp()
        tensor([[3., 3.]])
    """
    weight, bias = _parameters(head)
    block = max(1, BLOCK_BYTES // (4 * len(weight)))
    states, count = hidden.flatten(0, 1), hidden.shape[1]
    rows = torch.arange(len(hidden), device=hidden.device)[:, None]
    places = (rows * count + sources).flatten()
    wanted = targets.repeat(len(hidden))
    losses = torch.empty(len(places), dtype=torch.float32, device=hidden.device)
    with torch.no_grad():
        for begin in range(0, len(states), block):
            logits = linear(states[begin : begin + block], weight, bias).float()
            logits = cap * torch.tanh(logits / cap) if cap else logits
            here = ((places >= begin) & (places < begin + block)).nonzero()[:, 0]
            own = places[here] - begin
            losses[here] = logits.logsumexp(dim=-1)[own] - logits[own, wanted[here]]
    return losses.view(len(hidden), -1)
