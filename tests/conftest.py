"""Fixtures: tiny random models of several architectures, a pool, a labelled set, an endpoint."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch

WORDS = (
    "il la un ordine pacco rimborso dove quando non si accende spedizione costa quanto voglio "
    "annullare reso soldi indietro stato arriva schermo rotto nero app blocca prezzo città perché"
).split()


@pytest.fixture(scope="session")
def pool():
    from fucina.models import threads

    with threads.start(2) as started:
        yield started


@pytest.fixture(scope="session")
def tokenizer_folder(tmp_path_factory):
    """A word-level tokenizer with the usual special tokens, saved as Hugging Face does."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    vocabulary = {word: i for i, word in enumerate([*special, *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    folder = tmp_path_factory.mktemp("tokenizer")
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]",
        sep_token="[SEP]",
    ).save_pretrained(folder)  # fmt: skip
    return folder


@pytest.fixture(scope="session")
def make_base(tokenizer_folder, tmp_path_factory):
    """Give a function: architecture name → folder of a tiny random model."""
    import shutil

    import transformers

    size = {"vocab_size": len(WORDS) + 4, "hidden_size": 32, "num_hidden_layers": 3,
            "num_attention_heads": 4, "intermediate_size": 64, "max_position_embeddings": 64}  # fmt: skip
    kinds = {
        "bert": lambda: transformers.BertConfig(**size),
        "llama": lambda: transformers.LlamaConfig(**size, num_key_value_heads=2),
        "gpt2": lambda: transformers.GPT2Config(
            vocab_size=size["vocab_size"], n_embd=32, n_layer=3, n_head=4, n_positions=64
        ),
        "gpt_bigcode": lambda: transformers.GPTBigCodeConfig(
            vocab_size=size["vocab_size"], n_embd=32, n_layer=3, n_head=4, n_positions=64
        ),
    }
    made: dict[str, Path] = {}

    def make(kind: str) -> Path:
        if kind not in made:
            folder = tmp_path_factory.mktemp(kind)
            torch.manual_seed(0)
            model = transformers.AutoModel.from_config(kinds[kind]())
            model.save_pretrained(folder)
            for file in tokenizer_folder.iterdir():
                shutil.copy(file, folder / file.name)
            made[kind] = folder
        return made[kind]

    return make


@pytest.fixture(scope="session")
def decoder_tokenizer():
    """Give a function: special tokens → a byte-level tokenizer that can write any text."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    def make(special=("<|begin|>", "<|end|>", "<|im_start|>", "<|im_end|>")):
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=400, special_tokens=list(special), show_progress=False,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        )  # fmt: skip
        tokenizer.train_from_iterator([" ".join(WORDS)] * 3, trainer)
        named = dict(zip(("bos_token", "eos_token"), special, strict=False))
        more = {"additional_special_tokens": list(special[2:])} if special[2:] else {}
        return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **named, **more)

    return make


@pytest.fixture(scope="session")
def make_decoder(decoder_tokenizer, tmp_path_factory):
    """Give a function: architecture name → folder of a tiny random model that writes."""
    import transformers

    tokenizer = decoder_tokenizer()
    tokenizer.pad_token = "<|end|>"
    vocabulary = len(tokenizer)
    size = {"vocab_size": vocabulary, "hidden_size": 32, "num_hidden_layers": 4,
            "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 64,
            "max_position_embeddings": 1536, "head_dim": 8}  # fmt: skip
    own = {"vocab_size": vocabulary, "n_embd": 32, "n_layer": 4, "n_head": 4, "n_positions": 256}
    kinds = {
        "llama": lambda: transformers.LlamaConfig(**size, tie_word_embeddings=True),
        "qwen3": lambda: transformers.Qwen3Config(**size),
        # Windows shorter than a row, so that a mask without them is seen to be wrong.
        "gemma3": lambda: transformers.Gemma3TextConfig(
            **size, sliding_window=6, sliding_window_pattern=2, query_pre_attn_scalar=8
        ),
        "mistral": lambda: transformers.MistralConfig(**size, sliding_window=6),
        "phi": lambda: transformers.PhiConfig(**{k: v for k, v in size.items() if k != "head_dim"}),
        "gpt2": lambda: transformers.GPT2Config(**own),
        "gpt_bigcode": lambda: transformers.GPTBigCodeConfig(**own),
    }
    made: dict[str, Path] = {}

    def make(kind: str) -> Path:
        if kind not in made:
            folder = tmp_path_factory.mktemp(kind)
            torch.manual_seed(0)
            model = transformers.AutoModelForCausalLM.from_config(kinds[kind]())
            # As random weights are drawn small, attention would hardly matter.
            for name, parameter in model.named_parameters():
                if parameter.dim() > 1 and "norm" not in name:
                    torch.nn.init.normal_(parameter, std=0.15)
            model.save_pretrained(folder)
            tokenizer.save_pretrained(folder)
            made[kind] = folder
        return made[kind]

    return make


def _in_order(tokenizer, special):
    """The words of a trained Unigram in an order that is the same in every process.

    The trainer numbers them as its tables happen to lie. With other numbers, so other inputs, a
    unit of T5's ReLU comes within a rounding of zero once in some thousand runs: it is on in one
    way of computing and off in the other, and gradients differ by 1e-5 to 1e-3.
    """
    from tokenizers import models

    pieces = json.loads(tokenizer.to_str())["model"]["vocab"]
    scores = {piece: round(score, 4) for piece, score in pieces}
    ordered = [*special, *sorted(set(scores) - set(special))]
    words = [(piece, scores[piece]) for piece in ordered]
    return models.Unigram(words, special.index("<unk>"), byte_fallback=False)


@pytest.fixture(scope="session")
def pair_tokenizer():
    """Give a function: architecture name → a tokenizer that puts around texts what it does."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    def make(kind):
        bart = kind in ("bart", "mbart", "codet5")
        special = (
            ["<s>", "<pad>", "</s>", "<unk>"]
            if bart
            else ["<pad>", "</s>", "<unk>", "<extra_id_0>"]
        )
        if bart:
            tokenizer = Tokenizer(models.BPE())
            tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
            tokenizer.decoder = decoders.ByteLevel()
            trainer = trainers.BpeTrainer(
                vocab_size=400, special_tokens=special, show_progress=False,
                initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            )  # fmt: skip
        else:
            letters = [chr(code) for code in range(33, 127)] + list("àèéìòù")
            tokenizer = Tokenizer(models.Unigram())
            tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
            tokenizer.decoder = decoders.Metaspace()
            trainer = trainers.UnigramTrainer(
                vocab_size=300, special_tokens=special, show_progress=False, unk_token="<unk>",
                initial_alphabet=letters,
            )  # fmt: skip
        tokenizer.train_from_iterator([" ".join(WORDS)] * 3, trainer)
        if not bart:
            tokenizer.model = _in_order(tokenizer, special)
        around = "<s> $A </s>" if bart else "$A </s>"
        named = [(name, tokenizer.token_to_id(name)) for name in around.split() if name != "$A"]
        tokenizer.post_processor = processors.TemplateProcessing(
            single=around, special_tokens=named
        )
        begin = {"bos_token": "<s>"} if bart else {}
        return PreTrainedTokenizerFast(
            tokenizer_object=tokenizer, eos_token="</s>", pad_token="<pad>", unk_token="<unk>",
            **begin,
        )  # fmt: skip

    return make


@pytest.fixture(scope="session")
def make_pair(pair_tokenizer, tmp_path_factory):
    """Give a function: architecture name → folder of a tiny random encoder-decoder."""
    import transformers

    own = {"d_model": 32, "num_heads": 4, "d_kv": 8, "d_ff": 64, "num_layers": 5,
           "num_decoder_layers": 4, "relative_attention_num_buckets": 8,
           "relative_attention_max_distance": 20, "decoder_start_token_id": 0,
           # At 1 the states of a random T5 are so large that float32 keeps four digits of them.
           "initializer_factor": 0.5}  # fmt: skip
    size = {"d_model": 32, "encoder_layers": 3, "decoder_layers": 4, "encoder_attention_heads": 4,
            "decoder_attention_heads": 4, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64,
            "max_position_embeddings": 128}  # fmt: skip
    kinds = {
        "t5": lambda n: transformers.T5Config(vocab_size=n, **own),
        # As in flan-t5: gated, and states are not shortened before the head.
        "flan-t5": lambda n: transformers.T5Config(
            vocab_size=n, **own, feed_forward_proj="gated-gelu", tie_word_embeddings=False
        ),
        "mt5": lambda n: transformers.MT5Config(vocab_size=n, **own),
        # Byte-level words between <s> and </s>, as BART has them.
        "codet5": lambda n: transformers.T5Config(
            vocab_size=n, **{**own, "decoder_start_token_id": 1}, pad_token_id=1, eos_token_id=2
        ),
        "bart": lambda n: transformers.BartConfig(
            vocab_size=n, **size, bos_token_id=0, pad_token_id=1, eos_token_id=2,
            decoder_start_token_id=2,
        ),
        "mbart": lambda n: transformers.MBartConfig(
            vocab_size=n, **size, bos_token_id=0, pad_token_id=1, eos_token_id=2,
            decoder_start_token_id=2,
        ),
        "pegasus": lambda n: transformers.PegasusConfig(
            vocab_size=n, **size, pad_token_id=0, eos_token_id=1, decoder_start_token_id=0,
            scale_embedding=True,
        ),
    }  # fmt: skip
    made: dict[str, Path] = {}

    def make(kind: str) -> Path:
        if kind not in made:
            folder, tokenizer = tmp_path_factory.mktemp(kind), pair_tokenizer(kind)
            model = transformers.AutoModelForSeq2SeqLM.from_config(kinds[kind](len(tokenizer)))
            # Drawn by NumPy: what PyTorch draws differs with the processor's kernels.
            random = np.random.default_rng(0)
            with torch.no_grad():
                for name, parameter in model.named_parameters():
                    if parameter.dim() > 1 and "norm" not in name and parameter.requires_grad:
                        drawn = random.normal(0, 0.15, parameter.shape)
                        parameter.copy_(torch.from_numpy(drawn))
            if hasattr(model, "final_logits_bias"):
                drawn = random.normal(size=model.final_logits_bias.shape)
                model.final_logits_bias.copy_(torch.from_numpy(drawn))
            if kind == "bart":
                model.generation_config.forced_bos_token_id = 0
            model.save_pretrained(folder)
            tokenizer.save_pretrained(folder)
            made[kind] = folder
        return made[kind]

    return make


@pytest.fixture(scope="session")
def load_pair(make_pair):
    """Give a function: architecture name → loaded float32 encoder-decoder that writes."""
    from fucina.config import ChatConfig, ModelConfig
    from fucina.models import base

    def load(kind, **chat):
        loaded = base.load(ModelConfig(base=str(make_pair(kind))), answer="text")
        return base.with_template(loaded, ChatConfig(**chat), Path())

    return load


@pytest.fixture(scope="session")
def load_decoder(make_decoder):
    """Give a function: architecture name → loaded float32 base that writes."""
    from dataclasses import replace

    from fucina.config import ModelConfig
    from fucina.models import base
    from fucina.models.template import open_template

    def load(kind):
        loaded = base.load(ModelConfig(base=str(make_decoder(kind))), answer="text")
        return replace(loaded, template=open_template(loaded.tokenizer))

    return load


@pytest.fixture(scope="session")
def load_base(make_base):
    """Give a function: architecture name → loaded float32 base."""
    from fucina.config import ModelConfig
    from fucina.models import base

    return lambda kind: base.load(ModelConfig(base=str(make_base(kind))))


LABELLED = [
    (f"{start} {end}", label)
    for label, starts, ends in [
        ("rimborso", ("voglio soldi", "reso soldi", "rimborso il", "quando rimborso"),
         ("indietro", "perché rotto", "reso pacco", "un ordine", "non arriva")),
        ("ordine", ("dove ordine", "stato pacco", "il pacco", "quando ordine"),
         ("arriva", "non arriva", "città", "spedizione", "il pacco")),
        ("guasto", ("schermo nero", "app si blocca", "non si accende", "schermo rotto"),
         ("perché", "la app", "il schermo", "quando accende", "un")),
    ]
    for start in starts
    for end in ends
]  # fmt: skip


@pytest.fixture
def labelled(tmp_path):
    """A folder with train.jsonl (45 rows) and test.jsonl (15 rows) of three labels."""
    test = LABELLED[::4]
    train = [row for row in LABELLED if row not in test]
    for name, rows in (("train", train), ("test", test)):
        lines = [json.dumps({"text": t, "label": label}, ensure_ascii=False) for t, label in rows]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return tmp_path


HANG_S = 30


class Served:
    """What a server was asked, and what it shall do next.

    `script` holds for each coming request what it gets: a list of texts or rows, the content of a
    message as a string, a tuple (status, headers, body), "hang" or "close"; then `judge` is asked
    about what is no order to write, and `texts` goes on. `reply` writes the next turn of any
    conversation, `embed` makes the vector of a text.
    """

    def __init__(self):
        self.texts = []
        self.script = []
        self.judge = None
        self.reply = None
        self.embed = None
        self.requests = []
        self.headers = []
        self.most_at_once = 0
        self.at_once = 0
        self.lock = threading.Lock()
        self.free = threading.Event()
        self.slow_s = 0.0
        self.url = ""

    def next(self, content):
        with self.lock:
            if self.script:
                return self.script.pop(0)
            if self.reply is not None:
                return self.reply(content)
            if self.judge is not None:
                return self.judge(json.loads(content))
            count = int(content.split("Write ")[-1].split()[0])
            taken, self.texts = self.texts[:count], self.texts[count:]
            return taken


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        served = self.server.served
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with served.lock:
            served.requests.append(body)
            served.headers.append(dict(self.headers))
            served.at_once += 1
            served.most_at_once = max(served.most_at_once, served.at_once)
        try:
            served.free.wait(served.slow_s)
            if self.path == "/v1/embeddings" and not served.script:
                rows = [served.embed(text) for text in body["input"]]
                data = [{"index": i, "embedding": row} for i, row in enumerate(rows)]
                self._send(200, {}, {"data": data[::-1]})  # the protocol has no order
                return
            known = self.path in {"/v1/chat/completions", "/v1/messages", "/v1/embeddings"}
            content = body["messages"][-1]["content"] if "messages" in body else ""
            self._answer(served, served.next(content) if known else None)
        finally:
            with served.lock:
                served.at_once -= 1

    def _answer(self, served, act):
        if act == "close":
            self.close_connection = True
            self.connection.close()
            return
        if act == "hang":
            served.free.wait(HANG_S)
            act = []
        if act is None:
            act = (404, {}, {"error": {"message": "no such page"}})
        if isinstance(act, tuple):
            self._send(*act)
            return
        key = "rows" if act and isinstance(act[0], dict) else "texts"
        content = act if isinstance(act, str) else json.dumps({key: act})
        if self.path == "/v1/messages":
            said = {"content": [{"type": "text", "text": content}], "stop_reason": "end_turn"}
            self._send(200, {}, said | {"usage": {"input_tokens": 7, "output_tokens": 3}})
            return
        message = {"role": "assistant", "content": content}
        said = {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
        self._send(200, {}, said | {"usage": {"prompt_tokens": 7, "completion_tokens": 3}})

    def _send(self, status, headers, body):
        content = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        try:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
        except OSError:
            self.close_connection = True  # the client has given up

    def log_message(self, *_):
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        pass  # a client that is killed, or a connection closed on purpose


@pytest.fixture
def endpoint():
    """A real HTTP server on a free port of this machine, speaking the chat protocol."""
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.served = Served()
        server.served.url = f"http://127.0.0.1:{server.server_port}/v1"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server.served
        finally:
            server.served.free.set()
            server.shutdown()
            thread.join()
