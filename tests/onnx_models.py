"""Trained-looking models with heads of classes, of many architectures, for exports of them."""

import shutil
from dataclasses import replace

import numpy as np
import torch

from fucina.config import AdapterConfig, ModelConfig
from fucina.models import base as bases
from fucina.models.build import build
from fucina.models.by_class import ByClass
from fucina.models.ensemble import Ensemble
from fucina.models.lexical import Table, counts, learn, rarity
from fucina.models.marker import Marker
from fucina.models.tags import tag_names, word_bounds
from fucina.models.word_forms import form_rows, learn_forms

TEXTS = (
    "il pacco non arriva", "dove ordine", "schermo nero rotto", "perché la città è così?", "",
    "Quanto costa la spedizione a Forlì", "[CLS] il [SEP] pacco", "voglio " * 70 + "il rimborso",
    "voglio il rimborso", "😀 ordine\tpacco\n\nrotto",
)  # fmt: skip
LABELS = ("rimborso", "ordine", "guasto")
TYPES = ("COSA", "LUOGO")

SIZE = {"hidden_size": 32, "num_hidden_layers": 3,
        "num_attention_heads": 4, "intermediate_size": 64}  # fmt: skip


def config_of(kind, vocabulary):
    import transformers as hub

    size = SIZE | {"vocab_size": vocabulary}
    plain, counted = size | {"max_position_embeddings": 64}, size | {"max_position_embeddings": 66}
    grouped = plain | {"num_key_value_heads": 2}
    return {
        "bert": lambda: hub.BertConfig(**plain),
        "roberta": lambda: hub.RobertaConfig(**counted, pad_token_id=1),
        "xlm-roberta": lambda: hub.XLMRobertaConfig(**counted, pad_token_id=1),
        "distilbert": lambda: hub.DistilBertConfig(
            vocab_size=vocabulary, dim=32, n_layers=3, n_heads=4, hidden_dim=64,
            max_position_embeddings=64,
        ),
        "mpnet": lambda: hub.MPNetConfig(**counted),
        "electra": lambda: hub.ElectraConfig(**plain, embedding_size=16),
        "modernbert": lambda: hub.ModernBertConfig(
            **plain, local_attention=6, global_attn_every_n_layers=2, pad_token_id=0
        ),
        "llama": lambda: hub.LlamaConfig(**grouped),
        "gemma3": lambda: hub.Gemma3TextConfig(
            **grouped, head_dim=8, sliding_window=6, sliding_window_pattern=2,
            query_pre_attn_scalar=8,
        ),
        "gpt2": lambda: hub.GPT2Config(
            vocab_size=vocabulary, n_embd=32, n_layer=3, n_head=4, n_positions=64
        ),
    }[kind]()  # fmt: skip


def make_folder(kind, folder, tokenizer_folder):
    """A random model whose attention matters, and a tokenizer."""
    import transformers as hub

    vocabulary = len(hub.AutoTokenizer.from_pretrained(tokenizer_folder))
    torch.manual_seed(0)
    network = hub.AutoModel.from_config(config_of(kind, vocabulary))
    for name, parameter in network.named_parameters():
        if parameter.dim() > 1 and "norm" not in name.lower():
            torch.nn.init.normal_(parameter, std=0.15)
    network.save_pretrained(folder)
    for file in tokenizer_folder.iterdir():
        shutil.copy(file, folder / file.name)


def load_base(folder, **settings):
    precision = settings.pop("precision", "float32")
    return bases.load(ModelConfig(base=str(folder), **settings), precision)


def stacks_of(base, columns, members, adapter, seed=1):
    """As after a training: adapters and heads that are not what they started as."""
    settings = {"kind": "lora", "layers": 1, "rank": 4} | adapter
    alone = settings["kind"] == "full"
    made = []
    for number in range(members if alone else 1):
        stack = build(
            base, AdapterConfig(**settings), members=1 if alone else members, labels=columns,
            seed=0, workers=2,
        )  # fmt: skip
        generator = torch.Generator().manual_seed(seed + number)
        stack.bind(
            stack.adapters + torch.empty_like(stack.adapters).normal_(0, 0.05, generator=generator),
            torch.empty_like(stack.heads).normal_(0, 0.3, generator=generator),
        )
        made.append(stack)
    return tuple(made)


def _tables(rows, members, columns):
    random = np.random.default_rng(3)
    weights = [
        random.normal(0, 2, (rows.shape[1], columns)).astype(np.float32) for _ in range(members)
    ]
    made = [Table(rarity(rows), each.astype(float)) for each in weights]
    return (*made[:-1], None) if members > 2 else tuple(made)


def labeller(
    base, *, members=1, how="average", temperature=1.0, threshold=0.0, ngrams=False, **adapter
):
    stacks = stacks_of(base, len(LABELS), members, adapter)
    lexicon, tables = None, (None,) * members
    if ngrams:
        lexicon = learn([*TEXTS])
        tables = _tables(counts([*TEXTS], lexicon), members, len(LABELS))
    weigher = ByClass(base, stacks, lexicon, tables)
    return Ensemble(base, LABELS, weigher, how, temperature, threshold)


def marker(base, *, members=1, temperature=1.0, forms=False, **adapter):
    columns = len(tag_names(TYPES))
    stacks = stacks_of(base, columns, members, adapter)
    made = Marker(base, stacks, TYPES, temperature=temperature)
    if not forms:
        return made
    bounds = [word_bounds(text) for text in TEXTS]
    lexicon = learn_forms([*TEXTS], bounds)
    tables = _tables(form_rows([*TEXTS], bounds, lexicon), members, columns)
    return replace(made, lexicon=lexicon, lexical=tables)
