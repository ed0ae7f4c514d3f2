"""What is saved can be loaded again: by this program, and by PEFT."""

import numpy as np
import pytest
import torch

from fucina.config import AdapterConfig, ModelConfig
from fucina.errors import ModelError, RunError
from fucina.models import base as bases
from fucina.models.build import build
from fucina.models.by_class import ByClass
from fucina.models.ensemble import Ensemble, combine
from fucina.models.peft_format import adapter_config, from_tensors, to_tensors
from fucina.models.saved import load, member_folder, save_lexicon, save_member
from fucina.models.stack import pool as pooled
from fucina.models.targets import resolve
from fucina.models.tokenize import encode
from fucina.models.trunk import assemble
from fucina.recipe import parse

KINDS = ("bert", "llama", "gpt2", "gpt_bigcode")


def _random_stack(base, config, members=1):
    stack = build(base, config, members=members, labels=3, seed=0, workers=2)
    generator = torch.Generator().manual_seed(1)
    stack.bind(
        torch.empty_like(stack.adapters).normal_(0, 0.1, generator=generator),
        torch.empty_like(stack.heads).normal_(0, 0.1, generator=generator),
    )
    return stack


@pytest.mark.parametrize("kind", KINDS)
def test_peft_loads_a_member_and_computes_the_same(kind, load_base, make_base, tmp_path):
    import json

    import peft
    import transformers
    from safetensors.torch import save_file

    base = load_base(kind)
    config = AdapterConfig(layers=2, rank=4)
    stack = _random_stack(base, config)
    tensors = to_tensors(stack, stack.adapters[0])
    save_file(
        {k: v.contiguous() for k, v in tensors.items()}, tmp_path / "adapter_model.safetensors"
    )
    (tmp_path / "adapter_config.json").write_text(json.dumps(adapter_config(stack, config)))
    plain = transformers.AutoModel.from_pretrained(make_base(kind), dtype=torch.float32).eval()
    other = peft.PeftModel.from_pretrained(plain, str(tmp_path)).eval()
    encoded = encode(["il pacco non arriva", "dove"], base.tokenizer, max_length_tokens=16)
    batch = assemble(encoded, np.array([[0, 1]]), base.tokenizer.pad_token_id)
    with torch.no_grad():
        theirs = other(input_ids=batch.ids, attention_mask=batch.mask).last_hidden_state
        frozen = base.network(input_ids=batch.ids, attention_mask=batch.mask).last_hidden_state
        ours = stack.features(batch)[0]
    assert torch.allclose(pooled(theirs, batch.mask, base.pooling), ours, atol=1e-5)
    assert not torch.allclose(pooled(frozen, batch.mask, base.pooling), ours, atol=1e-2)


def test_tensors_of_another_shape_are_refused(load_base):
    base = load_base("bert")
    small = _random_stack(base, AdapterConfig(layers=1, rank=2))
    large = _random_stack(base, AdapterConfig(layers=1, rank=4))
    with pytest.raises(RunError, match="needs"):
        from_tensors(large, to_tensors(small, small.adapters[0]))


@pytest.mark.parametrize("kind", ["lora", "full", "head"])
def test_an_ensemble_answers_after_loading_as_before(kind, load_base, make_base, pool, tmp_path):
    from fucina.models.lexical import Table, counts, learn

    base = load_base("bert")
    recipe, _ = parse(
        f"{{task: classification, name: a, data: {{train: a}}, folds: {{count: 2}},"
        f" model: {{base: {make_base('bert')}}}, adapter: {{kind: {kind}, rank: 4, layers: 1}}}}"
    )
    members = 1 if kind == "full" else 2
    texts = ["il pacco non arriva", "dove ordine", "schermo nero rotto"]
    lexicon = learn(texts)
    save_lexicon(tmp_path, lexicon)
    rng, size = np.random.default_rng(0), len(lexicon.ngrams)
    tables = [
        Table(rng.uniform(1, 2, size), rng.normal(size=(size, 3)).astype(np.float32))
        for _ in range(2)
    ]
    stacks = [_random_stack(base, recipe.adapter, members) for _ in range(2 // members)]
    for member in range(2):
        stack = stacks[member] if kind == "full" else stacks[0]
        row = 0 if kind == "full" else member
        save_member(
            member_folder(tmp_path, recipe, member),
            stack,
            recipe,
            stack.states()[row],
            tables[member],
        )
    model = load(tmp_path, recipe, base, ("a", "b", "c"), workers=2)
    each = model.member_probabilities(texts, threads=pool)
    encoded = encode(texts, base.tokenizer, max_length_tokens=recipe.model.max_length_tokens)
    rows = counts(texts, lexicon)
    for member in range(2):
        stack = stacks[member] if kind == "full" else stacks[0]
        for row in range(len(texts)):
            batch = assemble(encoded, np.full((stack.members, 1), row), 0)
            index = 0 if kind == "full" else member
            scores = stack.logits(batch)[index, 0].detach().numpy() + tables[member].scores(
                rows[row]
            )
            expected = torch.softmax(torch.from_numpy(scores).flatten(), -1).numpy()
            assert np.allclose(each[member, row], expected, atol=1e-5)
    assert np.allclose(model.predict(texts, threads=pool).probabilities, each.mean(0))


def test_a_changed_base_is_refused(load_base, make_base, tmp_path):
    base = load_base("bert")
    recipe, _ = parse(
        f"{{task: classification, name: a, data: {{train: a}}, model: {{base: {make_base('bert')}}},"
        " adapter: {rank: 4, layers: 1}}"
    )
    stack = _random_stack(base, recipe.adapter)
    save_member(member_folder(tmp_path, recipe, 0), stack, recipe, stack.states()[0], None)
    with torch.no_grad():
        other = bases.load(ModelConfig(base=str(make_base("bert"))))
        next(other.network.parameters()).add_(1.0)
    changed = bases.Base(**{**vars(other), "fingerprint": "another"})
    with pytest.raises(RunError, match="another version"):
        load(tmp_path, recipe, changed, ("a", "b", "c"), workers=1)


def test_targets_that_match_nothing_list_the_real_names(load_base):
    base = load_base("gpt_bigcode")
    layer = base.network.get_submodule(base.layers)[0]
    assert {name.rsplit(".", 1)[-1] for name in resolve(layer, "all-linear")} == {
        "c_attn",
        "c_proj",
        "c_fc",
    }
    with pytest.raises(ModelError, match="c_attn") as caught:
        resolve(layer, ["q_proj", "v_proj"])
    assert "all-linear" in caught.value.fix


def test_attention_targets_leave_the_feed_forward_layers_alone(load_base):
    base = load_base("llama")
    layer = base.network.get_submodule(base.layers)[0]
    names = resolve(layer, "attention")
    assert len(names) == 4
    assert all("mlp" not in name for name in names)


@pytest.mark.parametrize(
    ("kind", "pooling"), [("bert", "mean"), ("llama", "last"), ("gpt2", "last")]
)
def test_pooling_follows_the_attention_of_the_model(kind, pooling, load_base):
    assert load_base(kind).pooling == pooling


def test_a_model_that_cannot_be_had_says_how_to_use_a_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ModelError, match="no folder") as caught:
        bases.load(ModelConfig(base=str(tmp_path / "nothing")))
    assert "favilla-encoder" in caught.value.fix
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match="cannot be had") as caught:
        bases.load(ModelConfig(base=str(tmp_path / "empty")))
    assert "folder" in caught.value.fix


def test_padding_does_not_change_a_vector(load_base):
    for kind in KINDS:
        base = load_base(kind)
        stack = _random_stack(base, AdapterConfig(layers="all", rank=4))
        encoded = encode(
            ["dove", "il pacco non arriva perché rotto"], base.tokenizer, max_length_tokens=16
        )
        alone = stack.features(assemble(encoded, np.array([[0]]), 0))
        padded = stack.features(assemble(encoded, np.array([[0, 1]]), 0))
        assert torch.allclose(alone[0, 0], padded[0, 0], atol=1e-5)


def test_a_vote_counts_members_and_an_average_counts_certainty():
    each = np.array([[[0.9, 0.1]], [[0.4, 0.6]], [[0.4, 0.6]]])
    assert combine(each, "vote").argmax() == 1
    assert combine(each, "average").argmax() == 0
    tie = np.array([[[0.9, 0.1]], [[0.4, 0.6]]])
    assert combine(tie, "vote").argmax() == 0


def test_truncation_keeps_the_closing_token(load_base):
    base = load_base("bert")
    encoded = encode(["il " * 50, "dove"], base.tokenizer, max_length_tokens=8)
    assert encoded.truncated == (0,)
    assert len(encoded.ids[0]) == 8
    assert encoded.ids[0][-1] == base.tokenizer.sep_token_id


def test_ten_members_read_a_text_through_the_trunk_once(load_base, pool):
    base = load_base("bert")
    stack = _random_stack(base, AdapterConfig(layers=1, rank=4), members=10)
    model = Ensemble(base, ("a", "b", "c"), ByClass(base, (stack,), None, ()), "average")
    rows = []
    trunk_run = stack.trunk.run
    stack.trunk.run = lambda batch: rows.append(len(batch.ids)) or trunk_run(batch)
    together = model.member_probabilities(["il pacco non arriva", "dove"], threads=pool)
    assert rows == [2]  # two rows, not twenty
    for member in range(10):
        alone = build(base, AdapterConfig(layers=1, rank=4), members=1, labels=3, seed=0, workers=2)
        alone.bind(stack.adapters[member : member + 1], stack.heads[member : member + 1])
        single = Ensemble(base, ("a", "b", "c"), ByClass(base, (alone,), None, ()), "average")
        own = single.member_probabilities(["il pacco non arriva", "dove"], threads=pool)
        assert np.allclose(own[0], together[member], atol=1e-5)


def test_a_text_longer_than_the_base_can_read_is_cut_there(make_base, tmp_path):
    import shutil

    import transformers

    folder = shutil.copytree(make_base("bert"), tmp_path / "roberta")
    config = transformers.RobertaConfig(
        vocab_size=64, hidden_size=32, num_hidden_layers=1, num_attention_heads=4,
        intermediate_size=64, max_position_embeddings=34, pad_token_id=1,
    )  # fmt: skip
    transformers.AutoModel.from_config(config).save_pretrained(folder)
    assert bases.load(ModelConfig(base=str(folder))).max_length_tokens == 32  # RoBERTa's two less
    assert bases.load(ModelConfig(base=str(make_base("bert")))).max_length_tokens == 64
    small = ModelConfig(base=str(make_base("bert")), max_length_tokens=16)
    assert bases.load(small).max_length_tokens == 16
    base = bases.load(ModelConfig(base=str(folder)))
    encoded = encode(["pacco " * 500], base.tokenizer, max_length_tokens=base.max_length_tokens)
    batch = assemble(encoded, np.array([[0]]), base.tokenizer.pad_token_id)
    with torch.no_grad():
        states = base.network(input_ids=batch.ids, attention_mask=batch.mask).last_hidden_state
    assert states.shape[1] == 32


WRITERS = ("llama", "qwen3", "gemma3", "gpt2", "gpt_bigcode")
IDS = torch.tensor([[5, 9, 30, 44, 7, 80, 12, 11, 3]])


def _chat_recipe(folder, adapter):
    return parse(
        f"{{task: chat, name: a, data: {{train: a}}, model: {{base: '{folder}'}},"
        f" adapter: {adapter}}}"
    )[0]


def _written(kind, adapter, load_decoder, make_decoder, folder):
    """A member with random weights, saved; returns its folder and what it makes of IDS."""
    base, recipe = load_decoder(kind), _chat_recipe(make_decoder(kind), adapter)
    stack = build(base, recipe.adapter, members=1, labels=0, seed=0, workers=1, whole=True)
    noise = torch.empty_like(stack.adapters).normal_(
        0, 0.05, generator=torch.Generator().manual_seed(1)
    )
    stack.bind(stack.adapters + noise, stack.heads)
    own = member_folder(folder, recipe, 0)
    save_member(own, stack, recipe, stack.states()[0], None)
    with torch.no_grad():
        return own, stack.replicas[0].network(input_ids=IDS).logits


@pytest.mark.parametrize("layers", [2, "all"])
@pytest.mark.parametrize("kind", WRITERS)
def test_peft_loads_a_writer_and_gives_the_same_logits(
    kind, layers, load_decoder, make_decoder, tmp_path
):
    import peft
    import transformers

    adapter = f"{{rank: 4, layers: {layers}}}"
    folder, ours = _written(kind, adapter, load_decoder, make_decoder, tmp_path)
    plain = transformers.AutoModelForCausalLM.from_pretrained(
        make_decoder(kind), dtype=torch.float32
    ).eval()
    with torch.no_grad():
        frozen = plain(input_ids=IDS).logits
        theirs = peft.PeftModel.from_pretrained(plain, str(folder)).eval()(input_ids=IDS).logits
    assert torch.allclose(theirs, ours, atol=1e-4)  # logits of about 10; sums in another order
    assert not torch.allclose(frozen, ours, atol=0.1)


@pytest.mark.parametrize("layers", [1, "all"])
@pytest.mark.parametrize("kind", WRITERS)  # llama ties embeddings and head, qwen3 does not
def test_all_weights_of_a_writer_load_into_its_network(
    kind, layers, load_decoder, make_decoder, tmp_path
):
    import transformers
    from safetensors.torch import load_file

    adapter = f"{{kind: full, layers: {layers}}}"
    folder, ours = _written(kind, adapter, load_decoder, make_decoder, tmp_path)
    other = transformers.AutoModelForCausalLM.from_pretrained(
        make_decoder(kind), dtype=torch.float32
    ).eval()
    with torch.no_grad():
        frozen = other(input_ids=IDS).logits
    found = other.load_state_dict(load_file(folder / "model.safetensors"), strict=False)
    assert not found.unexpected_keys
    tied = other.config.tie_word_embeddings
    assert layers != "all" or set(found.missing_keys) <= ({"lm_head.weight"} if tied else set())
    other.tie_weights()
    with torch.no_grad():
        theirs = other(input_ids=IDS).logits
    assert torch.allclose(theirs, ours, atol=1e-4)
    assert not torch.allclose(frozen, ours, atol=0.1)


@pytest.mark.parametrize("adapter", ["{rank: 4, layers: 2}", "{kind: full, layers: 1}"])
def test_a_writer_answers_after_loading_as_before(adapter, load_decoder, make_decoder, tmp_path):
    from fucina.models.saved import load_writer, untrained_writer

    recipe = _chat_recipe(make_decoder("llama"), adapter)
    _, ours = _written("llama", adapter, load_decoder, make_decoder, tmp_path)
    base = load_decoder("llama")
    model = load_writer(tmp_path, recipe, base, workers=1)
    plain = untrained_writer(recipe, base, workers=1)
    with torch.no_grad():
        again = model.stacks[0].replicas[0].network(input_ids=IDS).logits
        before = plain.stacks[0].replicas[0].network(input_ids=IDS).logits
        frozen = base.network(input_ids=IDS).logits
    assert torch.equal(again, ours)
    assert torch.equal(before, frozen)


PAIRED = ("t5", "flan-t5", "mt5", "bart", "mbart", "pegasus")
LABELS = torch.tensor([[7, 30, 12, 1]])


def _paired(kind, adapter, load_pair, make_pair, folder):
    """An encoder-decoder with random adapters or weights, saved; its folder and its logits."""
    base, recipe = load_pair(kind), _chat_recipe(make_pair(kind), adapter)
    stack = build(base, recipe.adapter, members=1, labels=0, seed=0, workers=1, whole=True)
    noise = torch.empty_like(stack.adapters).normal_(
        0, 0.05, generator=torch.Generator().manual_seed(1)
    )
    stack.bind(stack.adapters + noise, stack.heads)
    own = member_folder(folder, recipe, 0)
    save_member(own, stack, recipe, stack.states()[0], None)
    with torch.no_grad():
        return own, stack.replicas[0].network(input_ids=IDS, labels=LABELS).logits


@pytest.mark.parametrize("layers", [2, "all"])
@pytest.mark.parametrize("kind", PAIRED)
def test_peft_loads_an_encoder_decoder_and_gives_the_same_logits(
    kind, layers, load_pair, make_pair, tmp_path
):
    import json

    import peft
    import transformers

    adapter = f"{{rank: 4, layers: {layers}}}"
    folder, ours = _paired(kind, adapter, load_pair, make_pair, tmp_path)
    plain = transformers.AutoModelForSeq2SeqLM.from_pretrained(
        make_pair(kind), dtype=torch.float32
    ).eval()
    with torch.no_grad():
        frozen = plain(input_ids=IDS, labels=LABELS).logits
        theirs = peft.PeftModel.from_pretrained(plain, str(folder)).eval()
        theirs = theirs(input_ids=IDS, labels=LABELS).logits
    assert torch.allclose(theirs, ours, atol=1e-4)
    assert not torch.allclose(frozen, ours, atol=0.01)
    named = json.loads((folder / "adapter_config.json").read_text("utf-8"))
    assert named["task_type"] == "SEQ_2_SEQ_LM"
    encoder = [module for module in named["target_modules"] if "decoder" not in module]
    assert bool(encoder) == (layers == "all")


@pytest.mark.parametrize("layers", [1, 4, "all"])
@pytest.mark.parametrize("kind", PAIRED)
def test_all_weights_of_an_encoder_decoder_load_into_its_network(
    kind, layers, load_pair, make_pair, tmp_path
):
    import transformers
    from safetensors.torch import load_file

    adapter = f"{{kind: full, layers: {layers}}}"
    folder, ours = _paired(kind, adapter, load_pair, make_pair, tmp_path)
    other = transformers.AutoModelForSeq2SeqLM.from_pretrained(
        make_pair(kind), dtype=torch.float32
    ).eval()
    with torch.no_grad():
        frozen = other(input_ids=IDS, labels=LABELS).logits
    kept = load_file(folder / "model.safetensors")
    found = other.load_state_dict(kept, strict=False)
    assert not found.unexpected_keys
    assert not [name for name in kept if "embed_positions" in name and kind == "pegasus"]
    if layers != "all":
        assert not [name for name in kept if "encoder." in name or "shared" in name]
    other.tie_weights()
    with torch.no_grad():
        theirs = other(input_ids=IDS, labels=LABELS).logits
    assert torch.allclose(theirs, ours, atol=1e-4)
    assert not torch.allclose(frozen, ours, atol=0.01)


def test_names_that_only_one_half_has_are_found_and_wrong_ones_refused(load_pair):
    base = load_pair("bart")

    def adapted(*names):
        config = AdapterConfig(layers="all", target_modules=names)
        stack = build(base, config, members=1, labels=0, seed=0, workers=1)
        return {name.rsplit(".", 2)[0] for name, _ in stack.names}

    assert all("decoder" in name for name in adapted("encoder_attn.q_proj"))
    assert any("model.encoder.layers" in name for name in adapted("fc1"))
    with pytest.raises(ModelError, match="fc1") as caught:
        adapted("wi")
    assert "all-linear" in caught.value.fix


def test_a_base_is_the_same_wherever_it_lies(make_base, tmp_path):
    import shutil

    from fucina.config import ModelConfig

    folder = make_base("bert")
    shutil.copytree(folder, tmp_path / "altrove")
    told = [
        bases.load(ModelConfig(base=str(one))).fingerprint for one in (folder, tmp_path / "altrove")
    ]
    assert told[0] == told[1]
    settings = tmp_path / "altrove" / "config.json"
    settings.write_text(
        settings.read_text().replace('"num_attention_heads": 4', '"num_attention_heads": 2')
    )
    assert bases.load(ModelConfig(base=str(tmp_path / "altrove"))).fingerprint != told[0]
