"""Marking words: the shortcuts give the loss and gradients of a plain token classification."""

import numpy as np
import pytest
import torch

from fucina.config import AdapterConfig, LossConfig, ModelConfig, StoppingConfig, TrainingConfig
from fucina.errors import ModelError
from fucina.models import base as bases
from fucina.models.build import build
from fucina.models.peft_format import adapter_config, to_tensors
from fucina.models.tags import tag_names, to_tags
from fucina.models.trunk import activations
from fucina.models.words import read_words
from fucina.records import Fold, Span
from fucina.train.batches import chunks, epoch_batches
from fucina.train.fit import fit
from fucina.train.loss import make_loss
from fucina.train.members import Hooks, Loop, Member
from fucina.train.optimizer import Optimizer
from fucina.train.spans import SPANS, SpanMaterial
from fucina.train.stopping import BestModel, EarlyStopping

# Sums in another order differ in the last bits of float32; 1e-5 is a hundred times that.
TOLERANCE = 1e-5
KINDS = ("bert", "llama", "gpt2", "gpt_bigcode")
TEXTS = [
    "voglio soldi indietro perché rotto", "dove ordine, città", "il pacco non arriva a città",
    "stato pacco: spedizione", "app si blocca quando accende il schermo", "reso nero", "costa",
    "quanto costa la spedizione",
]  # fmt: skip
MARKED = [("A", "soldi indietro"), ("B", "città"), ("A", "pacco"), ("A", "pacco"), ("B", "app si blocca"),
          ("B", "nero"), None, ("A", "spedizione")]  # fmt: skip
TYPES = ("A", "B")


def _spans():
    return [
        ()
        if mark is None
        else (Span(text.index(mark[1]), text.index(mark[1]) + len(mark[1]), mark[0]),)
        for text, mark in zip(TEXTS, MARKED, strict=True)
    ]


def _material(base, folds, store=None):
    words = read_words(TEXTS, base.tokenizer, max_length_tokens=32, last=base.causal)
    tags = tuple(to_tags(s, b, TYPES) for s, b in zip(_spans(), words.bounds, strict=True))
    loss = make_loss(
        "cross_entropy", LossConfig(), tag_names(TYPES), torch.from_numpy(np.concatenate(tags))
    )
    many = len(folds)
    return SpanMaterial(
        words, tags, tuple(_spans()), TYPES, tuple(folds), store, (loss,) * many, (None,) * many
    )


def _randomize(stack, seed=0):
    generator = torch.Generator().manual_seed(seed)
    adapters = torch.empty_like(stack.adapters).normal_(0, 0.05, generator=generator)
    heads = torch.empty_like(stack.heads).normal_(0, 0.1, generator=generator)
    stack.bind(adapters, heads)


def _loop(stack, material, rows):
    members = [Member(i, BestModel(), EarlyStopping(3, 0.0, 9.0)) for i in range(stack.members)]
    return Loop(stack, material, SPANS, members, Optimizer(stack, TrainingConfig()), rows, rows)


def _engine(base, config, pool, *, stored=True, folds=1):
    """Loss and gradients of one step over all rows by the engine, k members at once."""
    stack = build(base, config, members=folds, labels=5, seed=0, workers=2)
    _randomize(stack)
    everything = Fold(tuple(range(len(TEXTS))), (0,))
    material = _material(base, [everything] * folds)
    if stored and stack.trunk is not None:
        store = activations(stack.trunk, material.words.encoded, threads=pool)
        material = _material(base, [everything] * folds, store)
    batch = np.tile(np.arange(len(TEXTS)), (folds, 1))
    weights = np.tile(material.weights.sum(), folds)
    parts = chunks(batch, material.lengths)
    assert len(parts) > 1  # the step is cut into passes of rows of like length
    adapters, heads, losses = SPANS.gradients(_loop(stack, material, 8), parts, weights, pool, 0)
    return stack, material, losses / weights, adapters, heads


def _plain(base, stack, material, kind, member=0):
    """The same step with transformers and PEFT: one padded batch, all layers, labels at -100."""
    import transformers
    from peft import LoraConfig, get_peft_model

    network = transformers.AutoModelForTokenClassification.from_pretrained(
        base.name, num_labels=5, dtype=torch.float32
    )
    for name in ("classifier", "score"):
        head = getattr(network, name, None)
        if head is not None:
            with torch.no_grad():
                head.weight.copy_(stack.head[member].t())
                if head.bias is None:
                    head.bias = torch.nn.Parameter(torch.zeros(5))
                head.bias.copy_(stack.bias[member, 0])
    facts = adapter_config(stack, AdapterConfig(layers=kind, rank=4))
    prefix = network.base_model_prefix
    config = LoraConfig(
        r=4, lora_alpha=facts["lora_alpha"], target_modules=[f"{prefix}.{n}" for n in facts["target_modules"]],
        fan_in_fan_out=facts["fan_in_fan_out"], lora_dropout=0.0,
    )  # fmt: skip
    model = get_peft_model(network, config).eval()
    tensors = to_tensors(stack, stack.adapters[member].detach())
    named = dict(model.named_parameters())
    for name, values in tensors.items():
        place = name.replace("base_model.model.", f"base_model.model.{prefix}.").replace(
            ".weight", ".default.weight"
        )
        with torch.no_grad():
            named[place].copy_(values)
    for parameter in (head for n, head in named.items() if "classifier" in n or ".score" in n):
        parameter.requires_grad_(True)
    rows = [ids for ids in material.words.encoded.ids]
    longest = max(map(len, rows))
    ids = torch.full((len(rows), longest), base.tokenizer.pad_token_id)
    mask, labels = torch.zeros_like(ids), torch.full_like(ids, -100)
    for i, row in enumerate(rows):
        ids[i, : len(row)], mask[i, : len(row)] = torch.from_numpy(row), 1
        labels[i, torch.from_numpy(material.words.places[i])] = torch.from_numpy(material.tags[i])
    loss = model(input_ids=ids, attention_mask=mask, labels=labels).loss
    loss.backward()
    adapters = {n: p.grad for n, p in named.items() if p.grad is not None and "lora" in n}
    head = [(n, p.grad) for n, p in named.items() if p.grad is not None and "lora" not in n]
    ordered = [
        adapters[
            name.replace("base_model.model.", f"base_model.model.{prefix}.").replace(
                ".weight", ".default.weight"
            )
        ]
        for name in tensors
    ]
    weight = next(g for n, g in head if n.endswith("weight"))
    bias = next((g for n, g in head if n.endswith("bias")), None)
    return loss.item(), torch.cat([g.flatten() for g in ordered]), weight, bias


@pytest.mark.parametrize("layers", [1, "all"])
@pytest.mark.parametrize("kind", ["bert", "llama", "gpt2", "gpt_bigcode"])
def test_a_step_is_the_step_of_transformers_and_peft(kind, layers, load_base, pool):
    base = load_base(kind)
    stack, material, losses, adapters, heads = _engine(
        base, AdapterConfig(layers=layers, rank=4), pool
    )
    loss, of_adapters, weight, bias = _plain(base, stack, material, layers)
    assert losses[0] == pytest.approx(loss, abs=TOLERANCE)
    assert torch.allclose(adapters[0], of_adapters, atol=TOLERANCE)
    size = base.width * 5
    assert torch.allclose(heads[0, :size].view(base.width, 5), weight.t(), atol=TOLERANCE)
    if bias is not None:
        assert torch.allclose(heads[0, size:], bias, atol=TOLERANCE)
    assert of_adapters.abs().max() > 100 * TOLERANCE  # the comparison would see a difference


def test_members_in_a_stack_have_the_gradients_that_they_have_alone(load_base, pool):
    base, config = load_base("bert"), AdapterConfig(layers=2, rank=4)
    together, material, losses, adapters, _ = _engine(base, config, pool, folds=3)
    for member in range(3):
        loss, of_adapters, _, _ = _plain(base, together, material, 2, member)
        assert losses[member] == pytest.approx(loss, abs=TOLERANCE)
        assert torch.allclose(adapters[member], of_adapters, atol=TOLERANCE)
    assert not torch.allclose(adapters[0], adapters[1], atol=100 * TOLERANCE)


def test_a_run_of_several_steps_in_a_stack_ends_where_it_ends_alone(load_base, pool):
    base, config = load_base("llama"), AdapterConfig(layers=2, rank=4)
    folds = [Fold((0, 1, 2, 3, 4), (5, 6, 7)), Fold((3, 4, 5, 6, 7), (0, 1, 2))]
    settings = TrainingConfig(epochs=2, batch_size=2, learning_rate=1e-3)
    stopping = StoppingConfig(keep="rollback", max_ratio="off")

    def train(own):
        stack = build(base, config, members=len(own), labels=5, seed=0, workers=2)
        heads = torch.empty(len(own), stack.heads.shape[1]).fill_(0.01)
        stack.bind(stack.adapters[:1].repeat(len(own), 1), heads)
        members = fit(
            stack,
            _material(base, own),
            SPANS,
            settings,
            stopping,
            run=(0, 99.0, pool),
            hooks=Hooks(),
        )
        return [member.state for member in members]

    both = train(folds)
    for fold, state in zip(folds, both, strict=True):
        assert torch.allclose(train([fold])[0], state, atol=TOLERANCE)


def test_held_out_words_come_back_in_the_order_of_their_rows(load_base, pool):
    base = load_base("bert")
    stack = build(base, AdapterConfig(layers=2, rank=4), members=2, labels=5, seed=0, workers=2)
    _randomize(stack)
    folds = [Fold((0, 1), (4, 6, 2)), Fold((2, 3), (7, 5))]
    material = _material(base, folds)
    judged = SPANS.judge(_loop(stack, material, 4), pool, False)
    for member, (fold, held) in enumerate(zip(folds, judged, strict=True)):
        alone = []
        for row in fold.held_out:
            from fucina.models.trunk import assemble

            batch = assemble(
                material.words.encoded, np.array([[row], [row]]), base.tokenizer.pad_token_id
            )
            with torch.no_grad():
                logits = stack.token_logits(batch)[member]
            alone.append(
                torch.softmax(logits[torch.from_numpy(material.words.places[row])].double(), -1)
            )
        assert np.allclose(held.answers, torch.cat(alone).numpy(), atol=TOLERANCE)


@pytest.mark.parametrize("kind", ["llama", "gpt2", "gpt_bigcode"])
def test_a_decoder_sees_what_follows_when_it_is_asked_to(kind, make_base, pool):
    config = ModelConfig(base=str(make_base(kind)), look_ahead=True)
    base = bases.load(config, answer="spans")
    assert not base.causal
    stored, material, losses, adapters, _ = _engine(base, AdapterConfig(layers=1, rank=4), pool)
    _, _, again, plain, _ = _engine(base, AdapterConfig(layers=1, rank=4), pool, stored=False)
    assert losses[0] == pytest.approx(again[0], abs=TOLERANCE)
    assert torch.allclose(adapters, plain, atol=TOLERANCE)
    # Padding changes nothing, and the first word knows the last one.
    alone = stored.states_of(_batch(base, material, [5]))[0]
    padded = stored.states_of(_batch(base, material, [5, 4]))[0, : len(alone)]
    assert torch.allclose(alone, padded, atol=TOLERANCE)
    masked = bases.load(ModelConfig(base=str(make_base(kind))), answer="spans")
    assert masked.causal
    other = build(masked, AdapterConfig(layers=1, rank=4), members=1, labels=5, seed=0, workers=1)
    other.bind(stored.adapters, stored.heads)
    assert not torch.allclose(other.states_of(_batch(masked, material, [5]))[0], alone, atol=1e-3)


def _batch(base, material, rows):
    from fucina.models.trunk import assemble

    return assemble(material.words.encoded, np.array([rows]), base.tokenizer.pad_token_id)


def test_an_encoder_needs_not_be_asked_to_see_what_follows(make_base):
    with pytest.raises(ModelError, match="reads both ways already"):
        bases.load(ModelConfig(base=str(make_base("bert")), look_ahead=True), answer="spans")


def test_a_word_stands_on_its_first_token_or_on_its_last_in_a_decoder(decoder_tokenizer):
    tokenizer = decoder_tokenizer()
    text = "il Castello, l'Arno 東"
    for last, place in ((False, 0), (True, -1)):
        words = read_words([text], tokenizer, max_length_tokens=99, last=last)
        found = tokenizer(text, return_offsets_mapping=True)["offset_mapping"]
        named = [text[a:b] for a, b in words.bounds[0]]
        assert named == ["il", "Castello", ",", "l", "'", "Arno", "東"]
        for (begin, end), token in zip(words.bounds[0], words.places[0], strict=True):
            inside = [i for i, (a, b) in enumerate(found) if a < end and begin < b]
            assert token == inside[place]


def test_words_behind_the_cut_are_not_there(decoder_tokenizer):
    tokenizer = decoder_tokenizer()
    words = read_words(
        ["il pacco", "il pacco non arriva a Roma"], tokenizer, max_length_tokens=4, last=False
    )
    assert words.encoded.truncated == (1,)
    assert words.read[0] == len("il pacco")
    assert words.read[1] < len("il pacco non arriva a Roma")
    assert all(end <= words.read[1] for _, end in words.bounds[1])


def test_batches_of_spans_visit_each_row_once(load_base):
    material = _material(load_base("bert"), [Fold(tuple(range(6)), (6, 7))])
    batches = epoch_batches(material.lengths, material.folds, 4, seed=0, epoch=1)
    rows = np.concatenate([batch[0] for batch in batches])
    assert sorted(rows[rows >= 0]) == list(range(6))


def test_a_slow_tokenizer_is_refused():
    class Slow:
        is_fast = False

    with pytest.raises(ModelError, match="characters a token covers"):
        read_words(["a"], Slow(), max_length_tokens=9, last=False)
