"""Answers of encoder-decoders are those that transformers' greedy generate writes, token by token."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
import transformers

from fucina.config import AdapterConfig
from fucina.models.build import build
from fucina.models.constrain import likeliest
from fucina.models.halves import halves_of
from fucina.models.pairs import pair
from fucina.models.writer import Writer
from fucina.records import Example

KINDS = ("t5", "flan-t5", "mt5", "codet5", "bart", "mbart", "pegasus")
ASKED = ("com'è il mare?", "e la nebbia, che si vede da qui fuori?", "posso?",
         "perché lampeggia tre volte e poi sta al buio?", "quando accendi?")  # fmt: skip
ROWS = [Example(asked, "porta un libro.") for asked in ASKED]
MOST = 14


def _writer(base, *, members=1, layers=2, kind="lora", strength=0.05):
    config = AdapterConfig(layers=layers, rank=4, kind=kind)
    stack = build(base, config, members=members, labels=0, seed=0, workers=2, whole=True)
    generator = torch.Generator().manual_seed(3)
    noise = torch.empty_like(stack.adapters).normal_(0, strength, generator=generator)
    stack.bind(noise, stack.heads)
    return Writer(base, (stack,), MOST)


def _alone(base):
    head = AdapterConfig(kind="head")
    stack = build(base, head, members=1, labels=0, seed=0, workers=1, whole=True)
    return Writer(base, (stack,), MOST)


def _ending_at(base, number):
    """The same base, where another token ends answers."""
    tokenizer = copy.deepcopy(base.tokenizer)
    tokenizer.eos_token = tokenizer.convert_ids_to_tokens(number)
    return replace(base, tokenizer=tokenizer, template=replace(base.template, tokenizer=tokenizer))


@pytest.mark.parametrize("kind", KINDS)
def test_the_base_alone_writes_what_generate_writes(kind, load_pair, make_pair):
    base = load_pair(kind)
    plain = transformers.AutoModelForSeq2SeqLM.from_pretrained(make_pair(kind), dtype=torch.float32)
    writer = _alone(base)
    prompts = [writer.manner.asked(row, base) for row in ROWS]
    endless = writer._answer(prompts, [None], likeliest)
    # A random model hardly ever ends: what it says in the middle of an answer is made the end.
    longest = max(endless, key=len)
    ending = _alone(_ending_at(base, longest[len(longest) // 2]))
    ended = ending._answer(prompts, [None], likeliest)
    assert [len(tokens) for tokens in ended] != [len(tokens) for tokens in endless]
    for model, answers in ((writer, endless), (ending, ended)):
        for prompt, tokens in zip(prompts, answers, strict=True):
            theirs = plain.eval().generate(
                input_ids=torch.from_numpy(prompt)[None], do_sample=False, num_beams=1,
                max_new_tokens=MOST, eos_token_id=model.template.end_id,
            )[0].tolist()  # fmt: skip
            assert theirs[0] == base.halves.start
            assert tokens == theirs[1:]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("members", "layers"), [(1, 2), (2, 2), (2, "all")])
def test_answers_written_together_are_those_written_alone(kind, members, layers, load_pair, pool):
    """Greedy under the mean of the odds, one prompt, the whole network again for each token."""
    writer = _writer(load_pair(kind), members=members, layers=layers)
    base, stack = writer.base, writer.stacks[0]
    found = writer.predict(ROWS, threads=pool)
    for row, example in enumerate(ROWS):
        source = torch.from_numpy(base.template.asked(example)).expand(members, -1)
        given, answer = [base.halves.start], []
        for number in range(MOST):
            with torch.no_grad():
                logits = stack.replicas[0].network(
                    input_ids=source, decoder_input_ids=torch.tensor([given] * members)
                ).logits[:, -1].double()  # fmt: skip
            best = int(torch.softmax(logits, dim=-1).mean(dim=0).argmax())
            forced = {0: base.halves.forced, MOST - 1: base.halves.forced_end}.get(number)
            answer.append(best if forced is None else forced)
            given.append(answer[-1])
            if answer[-1] == base.tokenizer.eos_token_id:
                break
        ended = answer[-1] == base.tokenizer.eos_token_id
        assert found.ended[row] == (ended and forced is None)  # an end that is forced is a cut
        assert found.written[row] == len(answer)
        assert found.read[row] == len(base.template.asked(example))
        text = base.tokenizer.decode(answer[:-1] if ended else answer, skip_special_tokens=True)
        assert found.answers[row] == text.strip()


@pytest.mark.parametrize("layers", [2, "all"])
def test_how_likely_the_true_answers_were_is_the_mean_of_the_members(layers, load_pair, pool):
    base = load_pair("bart")
    writer = _writer(base, members=2, layers=layers)
    losses, tokens = writer.foretell(ROWS, threads=pool)
    pairs = pair(ROWS, base.template, max_length_tokens=128)
    network = writer.stacks[0].replicas[0].network
    for row in range(len(ROWS)):
        source, target = torch.from_numpy(pairs.sources[row]), torch.from_numpy(pairs.targets[row])
        with torch.no_grad():
            logits = network(input_ids=source.expand(2, -1), labels=target.repeat(2, 1)).logits
        odds = torch.softmax(logits.double(), dim=-1).mean(0)
        each = -torch.log(odds.gather(1, target[:, None]))
        assert losses[row] == pytest.approx(each.sum().item(), rel=1e-5)
        assert tokens[row] == len(target)


@pytest.mark.parametrize(("first", "last"), [(7, 2), (None, [9, 4]), (5, None)])
@pytest.mark.parametrize("most", [1, 2, MOST])
def test_tokens_that_a_generation_config_forces_are_written(
    first, last, most, load_pair, make_pair
):
    """mBART is told its language so, and BART ends where it may write no more."""
    plain = transformers.AutoModelForSeq2SeqLM.from_pretrained(make_pair("mbart"))
    plain.generation_config.update(forced_bos_token_id=first, forced_eos_token_id=last)
    base = load_pair("mbart")
    base.network.generation_config.update(forced_bos_token_id=first, forced_eos_token_id=last)
    found = halves_of(base.network, base.layers, base.halves.layers, base.head)
    writer = replace(_alone(replace(base, halves=found)), max_new_tokens=most)
    for row in ROWS:
        asked = base.template.asked(row)
        theirs = plain.eval().generate(
            input_ids=torch.from_numpy(asked)[None], do_sample=False, max_new_tokens=most
        )[0].tolist()  # fmt: skip
        assert writer._answer([asked], [None], likeliest)[0] == theirs[1:]


@pytest.mark.parametrize("kind", ["bart", "pegasus"])
def test_writing_ends_where_the_decoder_has_no_positions_left(kind, load_pair, pool):
    base = load_pair(kind)
    stack = build(
        base, AdapterConfig(kind="head"), members=1, labels=0, seed=0, workers=1, whole=True
    )
    found = Writer(base, (stack,), 400).predict(ROWS[:2], threads=pool, foretell=False)
    lengths = [len(tokens) for tokens in Writer(base, (stack,), 400)._answer(
        [base.template.asked(row) for row in ROWS[:2]], [None], likeliest)]  # fmt: skip
    assert max(lengths) == base.positions == 128
    assert not found.ended[int(np.argmax(lengths))]
