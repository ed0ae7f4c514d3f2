"""A recipe of `fucina pretrain`: texts, words, the shape of a network, and how long it learns."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from fucina.config import Settings

__all__ = [
    "CorpusConfig",
    "NetworkConfig",
    "PretrainRecipe",
    "ScheduleConfig",
    "WordsConfig",
]


class CorpusConfig(Settings):
    """One file of texts."""

    path: Annotated[
        str, Field(description="JSONL of rows with text or messages, also .jsonl.xz and .jsonl.gz.")
    ]
    language: Annotated[str, Field(description="For the balance of the words, and the report.")]
    domain: Annotated[str, Field(description="What it is about, for the report.")]
    passes: Annotated[
        float, Field(gt=0, le=100, description="How often it is read while all others are once.")
    ] = 1.0
    held_out: Annotated[
        str | None, Field(description="A file of the same kind to judge on; never learnt.")
    ] = None


class WordsConfig(Settings):
    """The tokenizer: byte-level BPE, single digits, ChatML's turns."""

    vocabulary: Annotated[
        int, Field(ge=300, le=65536, description="Tokens, special ones included.")
    ] = 8192
    characters: Annotated[
        int,
        Field(ge=1000, description="Text that they are learnt from, equally of each language."),
    ] = 40_000_000


class NetworkConfig(Settings):
    """The shape of the network."""

    layout: Annotated[
        Literal["llama", "qwen3"], Field(description="Whose layout in transformers it has.")
    ] = "llama"
    width: Annotated[int, Field(ge=8, le=8192, description="Numbers of a token.")] = 256
    layers: Annotated[int, Field(ge=1, le=128, description="Layers.")] = 6
    heads: Annotated[int, Field(ge=1, le=128, description="Heads of attention.")] = 4
    key_value_heads: Annotated[
        int, Field(ge=1, le=128, description="Heads of keys and values; heads share them.")
    ] = 2
    feed_forward: Annotated[int, Field(ge=8, le=32768, description="Width between layers.")] = 768
    context: Annotated[
        int, Field(ge=16, le=131072, description="Tokens that it can read later.")
    ] = 2048

    @model_validator(mode="after")
    def _fits(self) -> "NetworkConfig":
        if self.width % self.heads or self.width // self.heads % 2:
            raise ValueError(f"width {self.width} is not an even multiple of heads {self.heads}")
        if self.heads % self.key_value_heads:
            raise ValueError(f"heads {self.heads} are no multiple of {self.key_value_heads}")
        return self


class ScheduleConfig(Settings):
    """How long and how fast it learns."""

    tokens: Annotated[int, Field(ge=1, description="Tokens seen; texts are read again if few.")]
    batch_tokens: Annotated[int, Field(ge=16, description="Tokens of a step.")] = 16384
    length_tokens: Annotated[
        int, Field(ge=8, le=131072, description="Tokens of a piece of text; none is padded.")
    ] = 512
    rows_at_once: Annotated[
        int, Field(ge=1, le=4096, description="Pieces in one pass; a step adds passes up.")
    ] = 16
    optimizer: Annotated[
        Literal["muon", "adamw"],
        Field(description="muon: matrices by Muon, the rest by AdamW; adamw: all of them."),
    ] = "muon"
    learning_rate: Annotated[float, Field(gt=0, le=1, description="Peak of AdamW's.")] = 3e-3
    schedule: Annotated[
        Literal["wsd", "cosine", "linear", "constant"],
        Field(description="wsd: warm-up, stable, decay to zero over the last share."),
    ] = "wsd"
    warmup: Annotated[
        float, Field(ge=0, description="Below 1 a share of the steps, else a count.")
    ] = 0.02
    decay: Annotated[float, Field(ge=0, le=1, description="Share of wsd that decays.")] = 0.2
    weight_decay: Annotated[float, Field(ge=0, le=1, description="Of matrices.")] = 0.1
    max_gradient_norm: Annotated[float, Field(gt=0, description="Clipped above.")] = 1.0
    compile: Annotated[
        Literal["auto", "on", "off"],
        Field(description="torch.compile: auto uses it where there is a C++ compiler or a GPU."),
    ] = "auto"
    checkpoint_steps: Annotated[
        int, Field(ge=1, description="Steps between two files to go on from.")
    ] = 200
    judge_steps: Annotated[
        int, Field(ge=1, description="Steps between two looks at held-out texts.")
    ] = 200


class PretrainRecipe(Settings):
    """All that `fucina pretrain` does."""

    name: Annotated[str, Field(pattern=r"^[\w.-]+$", description="Names the folder.")]
    output: Annotated[str, Field(description="Folder that it is made in.")] = "bases"
    seed: Annotated[int, Field(ge=0, le=2**31 - 1, description="Of weights and order.")] = 0
    corpus: Annotated[tuple[CorpusConfig, ...], Field(min_length=1, description="The texts.")]
    words: Annotated[WordsConfig, Field(description="The tokenizer.")] = WordsConfig()
    network: Annotated[
        NetworkConfig,
        Field(
            description="The shape: each head has an even part of width, and heads are a multiple "
            "of key_value_heads."
        ),
    ] = NetworkConfig()
    training: Annotated[ScheduleConfig, Field(description="How long and how fast.")]
    prompts: Annotated[
        tuple[str, ...], Field(description="Beginnings that the report lets it continue.")
    ] = ()
