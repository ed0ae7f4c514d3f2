"""Which base model, and what is added to it."""

from typing import Annotated, Literal

from pydantic import Field

from fucina.config.settings import Settings

__all__ = ["AdapterConfig", "ModelConfig"]


class ModelConfig(Settings):
    """Which base model, and how a sentence becomes one vector."""

    base: Annotated[
        str,
        Field(
            description="favilla or favilla-encoder, which are embedded, a Hugging Face id, or a "
            "folder; auto: favilla where words are written, else favilla-encoder; scratch: random "
            "weights."
        ),
    ] = "auto"
    pooling: Annotated[
        Literal["auto", "mean", "cls", "last"],
        Field(description="Which tokens make the vector; auto reads the model's own file."),
    ] = "auto"
    head: Annotated[
        Literal["classes", "words"],
        Field(
            description="How labels are answered: classes, a new layer with one output a label; "
            "words, by how likely a decoder finds the name of each label."
        ),
    ] = "classes"
    max_length_tokens: Annotated[
        int,
        Field(
            ge=4,
            le=32768,
            description="Longer inputs are cut here (and counted), or earlier where the base reads "
            "less.",
        ),
    ] = 1024
    look_ahead: Annotated[
        bool,
        Field(description="Spans: a decoder sees the words that follow too (no causal mask)."),
    ] = False
    lexical: Annotated[
        bool,
        Field(description="Add n-grams of characters to the head: what the base does not know."),
    ] = True
    quantize: Annotated[
        Literal["none", "nf4"],
        Field(
            description="nf4: the frozen layers are kept in 4 bits, with double quantization "
            "(QLoRA); needs bitsandbytes."
        ),
    ] = "none"


class AdapterConfig(Settings):
    """What is trained beside the head."""

    kind: Annotated[
        Literal["lora", "full", "head"],
        Field(description="lora: low-rank adapters; full: all weights; head: only the head."),
    ] = "lora"
    rank: Annotated[
        int, Field(ge=1, le=1024, description="Size of the adapter: more learns and weighs more.")
    ] = 16
    alpha: Annotated[
        float, Field(gt=0, description="Strength of the adapter; it is scaled by alpha / rank.")
    ] = 32.0
    rslora: Annotated[
        bool,
        Field(description="Scale by alpha / √rank: high ranks then learn as fast as low ones."),
    ] = False
    dora: Annotated[
        bool, Field(description="Learn the length of each row of the adapted weights apart (DoRA).")
    ] = False
    dropout: Annotated[
        float, Field(ge=0, lt=1, description="Share of adapter inputs dropped while training.")
    ] = 0.0
    target_modules: Annotated[
        str | tuple[str, ...],
        Field(description="all-linear, attention, or names of linear layers to adapt."),
    ] = "all-linear"
    layers: Annotated[
        Literal["all"] | Annotated[int, Field(ge=1)],
        Field(
            description="Adapt the top n layers, of an encoder-decoder those of its decoder (all: "
            "its encoder too); the frozen ones run only once."
        ),
    ] = 2
