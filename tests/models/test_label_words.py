"""Names of labels weighed together: the probabilities that each name gets alone."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from fucina.config import AdapterConfig
from fucina.errors import ModelError
from fucina.models.build import build
from fucina.models.by_name import ByName
from fucina.models.label_words import ask, spell, weighs_together
from fucina.models.template import open_template
from fucina.models.trie import plant
from fucina.records import Example, silent

KINDS = ("llama", "qwen3", "gemma3", "mistral", "phi", "gpt2", "gpt_bigcode")
LABELS = ("ordine", "ordine rotto", "ordine rotto e nero", "rimborso", "reso", "r")
PROMPTS = [
    "dove quando non si accende lo schermo nero della app che si blocca", "quanto costa?",
    "voglio annullare: il pacco non arriva", "ciao",
]  # fmt: skip
SYSTEM = "Di che cosa parla il cliente? Rispondi con il solo nome dell'intento."


def _weigher(base, *, members=1, layers=2, labels=LABELS, system=SYSTEM):
    base = replace(base, template=open_template(base.tokenizer, system=system))
    config = AdapterConfig(layers=layers, rank=4)
    stack = build(base, config, members=members, labels=0, seed=0, workers=2)
    generator = torch.Generator().manual_seed(3)
    stack.bind(torch.empty_like(stack.adapters).normal_(0, 0.05, generator=generator), stack.heads)
    return ByName(base, (stack,), spell(labels, base.template))


def _alone(weigher, layers):
    """Each name behind each prompt in a pass of its own, whole rows, no mask but the network's."""
    base, stack = weigher.base, weigher.stacks[0]
    whole = build(
        base, AdapterConfig(layers=layers, rank=4), members=stack.members, labels=0, seed=0,
        workers=1, whole=True,
    )  # fmt: skip
    whole.bind(stack.adapters, whole.heads)
    scores = np.zeros((stack.members, len(PROMPTS), len(LABELS)))
    for row, prompt in enumerate(PROMPTS):
        for column, label in enumerate(LABELS):
            rendered = base.template.render(Example(prompt, label))
            ids = torch.from_numpy(rendered.ids).expand(stack.members, -1)
            with torch.no_grad():
                logits = whole.replicas[0].network(input_ids=ids).logits.double()
            log_p = torch.log_softmax(logits[:, :-1], dim=-1).gather(2, ids[:, 1:, None])[..., 0]
            scores[:, row, column] = log_p[:, torch.from_numpy(rendered.supervised[1:])].sum(dim=1)
    return scores


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("members", "layers"), [(1, "all"), (2, 2)])
def test_names_weighed_together_get_what_they_get_alone(kind, members, layers, load_decoder, pool):
    weigher = _weigher(load_decoder(kind), members=members, layers=layers)
    assert weigher.together
    found = weigher.scores(PROMPTS, threads=pool, progress=silent)
    asked = ask(PROMPTS, weigher.names, weigher.template, most=256)
    assert asked.prefix >= 16
    assert len(weigher.names.trie) < sum(map(len, weigher.names.tokens)) - len(LABELS)
    assert found == pytest.approx(_alone(weigher, layers), rel=1e-5)
    one = weigher.scores(PROMPTS[:1], threads=pool, progress=silent)  # nothing is shared
    assert one == pytest.approx(found[:, :1], rel=1e-5)


@pytest.mark.parametrize("kind", ["llama", "gemma3"])
def test_names_weighed_one_after_the_other_get_the_same(kind, load_decoder, pool):
    weigher = _weigher(load_decoder(kind), members=2)
    together = weigher.scores(PROMPTS, threads=pool, progress=silent)
    vars(weigher)["together"] = False  # what a network that cannot is found to be
    assert weigher.scores(PROMPTS, threads=pool, progress=silent) == pytest.approx(
        together, rel=1e-5
    )


def test_a_network_that_counts_positions_by_itself_is_found_out(load_decoder):
    import transformers

    base = load_decoder("llama")
    names = spell(LABELS, base.template)
    torch.manual_seed(0)
    config = transformers.BloomConfig(
        vocab_size=len(base.tokenizer), hidden_size=32, n_layer=2, n_head=4, initializer_range=0.2
    )
    assert not weighs_together(transformers.BloomModel(config).eval(), names, base.template)
    config = transformers.MambaConfig(
        vocab_size=len(base.tokenizer), hidden_size=32, num_hidden_layers=2, state_size=4
    )
    assert not weighs_together(transformers.MambaModel(config).eval(), names, base.template)


def test_a_text_that_is_too_long_loses_its_end_and_nothing_else(load_decoder):
    base = load_decoder("llama")
    names = spell(LABELS, base.template)
    long = " ".join(f"parola{number}" for number in range(80))
    asked = ask([long, "ciao"], names, base.template, most=64)
    assert asked.cut == (0,)
    assert asked.longest_tokens > 200
    assert len(asked.prompts[0]) <= 64 - names.longest
    whole, short = (base.tokenizer.decode(row) for row in asked.prompts)
    inside = whole[len(short) - len(short.split("ciao")[1]) - len("ciao") :]
    assert whole.startswith(short.split("ciao")[0])
    assert whole.endswith(short.split("ciao")[1])
    assert inside.removesuffix(short.split("ciao")[1]) in long
    with pytest.raises(ModelError) as caught:
        ask([long], names, base.template, most=names.longest + 4)
    assert "model.max_length_tokens" in caught.value.fix


@pytest.mark.parametrize(("asking", "said", "labels", "fix"), [
    ("", "message['content'] | trim", ("reso", "reso "), "Rename"),
    ("ordi", "message['content']", ("reso", "ne"), "chat.template: chatml"),  # joins to `ordine`
])  # fmt: skip
def test_names_that_cannot_be_told_apart_are_refused(
    asking, said, labels, fix, load_decoder, tmp_path
):
    turns = "{% for message in messages %}{{ '<|im_start|>' + (ASKING if message['role'] == "
    turns += f"'assistant' else '') + {said} + '<|im_end|>' }}}}{{% endfor %}}"
    turns += "{% if add_generation_prompt %}{{ '<|im_start|>' + ASKING }}{% endif %}"
    (tmp_path / "own.jinja").write_text(turns.replace("ASKING", repr(asking)), "utf-8")
    template = open_template(load_decoder("llama").tokenizer, "own.jinja", root=tmp_path)
    with pytest.raises(ModelError) as caught:
        spell(labels, template)
    assert fix in caught.value.fix


def test_a_tree_holds_each_shared_beginning_once():
    trie = plant([[1, 2, 3, 9], [1, 2, 9], [1, 9], [4, 9]])
    assert trie.ids.tolist() == [1, 2, 3, 4]
    assert trie.seen.astype(int).tolist() == [
        [1, 0, 0, 0],
        [1, 1, 0, 0],
        [1, 1, 1, 0],
        [0, 0, 0, 1],
    ]
    for answer, path in zip([[1, 2, 3, 9], [1, 2, 9], [1, 9], [4, 9]], trie.paths, strict=True):
        assert trie.targets[path].tolist() == answer
    positions, seen = trie.branches(np.array([2]), 7)
    assert positions.tolist() == [[0, 1, 2, 3, 4, 2, 6]]
    assert seen[0, 5].astype(int).tolist() == [1, 1, 0, 0, 0, 1, 0]
