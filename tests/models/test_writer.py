"""Several prompts at once, behind a shared beginning: the tokens each would get alone."""

import numpy as np
import pytest
import torch

from fucina.config import AdapterConfig
from fucina.models.build import build
from fucina.models.conversations import write
from fucina.models.writer import Writer
from fucina.records import Example, Message

KINDS = ("llama", "qwen3", "gemma3", "mistral", "phi", "gpt2", "gpt_bigcode")
SYSTEM = "Sei Nerina, guardiana del faro: parli poco, da marinaia, e dici sempre che tempo fa."
ROWS = [
    Example.of_conversation(
        [Message("system", SYSTEM), Message("user", asked), Message("assistant", said)]
    )
    for asked, said in [
        ("Com'è il mare?", "Grosso."), ("E la nebbia, che si vede da qui?", "Porta un libro."),
        ("Posso?", "No."), ("Perché lampeggia tre volte e poi sta al buio?", "È la sua firma."),
    ]
]  # fmt: skip


def _writer(base, *, members=1, layers=2):
    config = AdapterConfig(layers=layers, rank=4)
    stack = build(base, config, members=members, labels=0, seed=0, workers=2, whole=True)
    generator = torch.Generator().manual_seed(3)
    stack.bind(torch.empty_like(stack.adapters).normal_(0, 0.05, generator=generator), stack.heads)
    return Writer(base, (stack,), 12)


def _alone(writer, example):
    """Greedy, one prompt, whole row again for each token, no cache."""
    stack, ids = writer.stacks[0], writer.template.asked(example).tolist()
    answer = []
    for _ in range(writer.max_new_tokens):
        rows = torch.tensor([ids] * stack.members)
        with torch.no_grad():
            logits = stack.replicas[0].network(input_ids=rows).logits[:, -1].double()
        answer.append(int(torch.softmax(logits, dim=-1).mean(dim=0).argmax()))
        ids.append(answer[-1])
        if answer[-1] == writer.template.end_id:
            break
    return answer


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("members", [1, 2])
def test_answers_written_together_are_those_written_alone(kind, members, load_decoder, pool):
    writer = _writer(load_decoder(kind), members=members)
    found = writer.predict(ROWS, threads=pool)
    for row, example in enumerate(ROWS):
        tokens = _alone(writer, example)
        ended = tokens[-1] == writer.template.end_id
        text = writer.base.tokenizer.decode(
            tokens[:-1] if ended else tokens, skip_special_tokens=True
        )
        assert found.answers[row] == text.strip()
        assert found.ended[row] == ended


def test_how_likely_the_true_answers_were_is_the_mean_of_the_members(load_decoder, pool):
    base = load_decoder("llama")
    writer = _writer(base, members=2)
    losses, tokens = writer.foretell(ROWS, threads=pool)
    written = write(ROWS, base.template, max_length_tokens=256)
    network = writer.stacks[0].replicas[0].network
    for row in range(len(ROWS)):
        ids, learnt = torch.from_numpy(written.ids[row]), written.learnt[row]
        with torch.no_grad():
            odds = torch.softmax(network(input_ids=ids.expand(2, -1)).logits.double(), dim=-1).mean(
                0
            )
        each = -torch.log(odds[:-1].gather(1, ids[1:, None]))[:, 0].numpy()
        assert losses[row] == pytest.approx(each[learnt[1:]].sum(), rel=1e-5)
        assert tokens[row] == learnt.sum()
    assert np.all(losses > 0)
