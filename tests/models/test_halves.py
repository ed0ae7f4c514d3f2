"""What is found out of an encoder-decoder, and what is said of one that is not known."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from fucina.config import AdapterConfig, ChatConfig, ModelConfig
from fucina.errors import ModelError
from fucina.models import base as bases
from fucina.models import blueprint
from fucina.models.build import build
from fucina.models.halves import ignored
from fucina.models.pairs import pair
from fucina.records import Example, Message

KINDS = ("t5", "flan-t5", "mt5", "bart", "mbart", "pegasus")


@pytest.mark.parametrize("kind", KINDS)
def test_both_halves_are_found(kind, load_pair, make_pair):
    base = load_pair(kind)
    assert (base.depth, base.halves.stands) == (4, True)
    assert "decoder" in base.layers
    assert "encoder" in base.encoder
    assert base.halves.start == base.network.config.decoder_start_token_id
    assert base.halves.scale == (32**-0.5 if kind == "t5" else 1.0)
    assert base.halves.forced == (0 if kind == "bart" else None)
    drawn = blueprint.draw(ModelConfig(base=str(make_pair(kind))), "text")
    assert (drawn.layers, drawn.encoder, drawn.head) == (base.layers, base.encoder, base.head)


def test_words_that_are_made_in_an_unknown_way_are_refused(load_pair):
    from fucina.models import halves

    base = load_pair("t5")
    head, states = base.network.lm_head, torch.randn(2, 3, 32)
    with pytest.raises(ModelError, match="not known here") as caught:
        halves._scale(base.network, states, head, head(states).tanh())
    assert "T5, BART or Pegasus" in caught.value.fix


def test_where_states_cannot_be_kept_the_decoder_runs_whole(load_pair):
    """As of a network whose layers hand on more than is known; its encoder is kept all the same."""
    base = load_pair("t5")
    apart = replace(base, halves=replace(base.halves, stands=False))
    stack = build(apart, AdapterConfig(layers=2), members=1, labels=0, seed=0, workers=1)
    assert stack.reader.depth == 0
    assert stack.replicas[0].inject is None
    assert len(stack.replicas[0].network.decoder.block[0].layer) == 3


def test_settings_of_generation_that_are_not_followed_are_named(load_pair):
    network = load_pair("bart").network
    network.generation_config.num_beams = 4
    network.generation_config.no_repeat_ngram_size = 3
    assert ignored(network)[:2] == ["num_beams=4", "no_repeat_ngram_size=3"]
    assert ignored(load_pair("t5").network) == []


def test_the_end_token_is_learnt_where_it_also_fills_up(load_pair):
    from fucina.models.pairs import assemble_pairs

    base = load_pair("t5")
    base.tokenizer.pad_token = base.tokenizer.eos_token
    rows = [Example("dove", "il pacco non arriva"), Example("quando", "app")]
    batch = assemble_pairs(
        pair(rows, base.template, max_length_tokens=64), np.arange(2)[None], base, 0
    )
    ends = batch.targets == base.tokenizer.eos_token_id
    assert ends.sum() == 2
    assert batch.mask.sum() < batch.mask.numel()


def test_a_long_input_loses_its_oldest_turns_then_its_end_and_keeps_what_is_around_it(load_pair):
    base = load_pair("bart", system="Sei Nerina.")
    turns = []
    for number in range(8):
        turns += [
            Message("user", f"domanda {number} sul mare"),
            Message("assistant", f"risposta {number}"),
        ]
    row = Example.of_conversation(turns)
    most = 60
    found = pair([row, Example("mare " * 80, "sì")], base.template, max_length_tokens=most)
    assert found.cut == (0, 1)
    first, second = (base.tokenizer.decode(source) for source in found.sources)
    assert len(found.sources[1]) == most
    assert first.startswith("<s>Sei Nerina. user: domanda") or first.startswith(
        "<s>Sei Nerina. domanda"
    )
    assert "domanda 7" in first
    assert "domanda 0" not in first
    assert second.startswith("<s>Sei Nerina. mare")
    assert second.endswith("</s>")


def test_a_tokenizer_that_adds_no_end_gets_one(load_pair):
    from tokenizers import processors

    base = load_pair("t5")
    base.tokenizer._tokenizer.post_processor = processors.TemplateProcessing(single="$A")
    written = pair([Example("dove", "app")], base.template, max_length_tokens=64)
    assert written.targets[0].tolist().count(base.tokenizer.eos_token_id) == 1
    assert written.targets[0][-1] == base.tokenizer.eos_token_id


def test_a_sentencepiece_file_alone_says_how_to_convert_it(make_pair, tmp_path):
    folder = shutil.copytree(make_pair("t5"), tmp_path / "slow")
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "T5Tokenizer"}))
    (folder / "spiece.model").write_bytes(b"nothing")
    with pytest.raises(ModelError, match=r"no tokenizer\.json") as caught:
        bases.load(ModelConfig(base=str(folder)), answer="text")
    assert "save_pretrained" in caught.value.fix


def test_settings_that_do_nothing_are_refused(load_pair):
    with pytest.raises(ModelError, match=r"chat\.template and chat\.supervise do nothing"):
        load_pair("t5", template="chatml", supervise="last")
    assert ChatConfig().template == "auto"  # what is left out is accepted
