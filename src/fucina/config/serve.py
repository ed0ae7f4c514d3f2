"""How trained models are served, and who answers where they do not."""

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from fucina.config.endpoint import KeyVariable, Protocol, Retries, Seconds
from fucina.config.settings import Settings

__all__ = ["RouteConfig", "ServeConfig"]


class ServeConfig(Settings):
    """The server: where it listens, whom it lets in, and how much it takes on."""

    host: Annotated[
        str, Field(description="Address to listen at; any other than this machine's wants keys.")
    ] = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535, description="0 takes a free one.")] = 8000
    keys: Annotated[
        str | None, Field(description="File of keys that may ask; none: everybody who reaches it.")
    ] = None
    cors: Annotated[
        tuple[str, ...],
        Field(description="Web pages that may ask, such as https://example.org; none by default."),
    ] = ()
    max_body_kib: Annotated[int, Field(ge=1, description="A larger request is refused.")] = 1024
    max_rows: Annotated[
        int, Field(ge=1, le=10_000, description="Texts in one request at most.")
    ] = 1024
    waiting: Annotated[
        int, Field(ge=1, description="Texts that may wait for a model; more are sent away (429).")
    ] = 256
    at_once: Annotated[
        int, Field(ge=1, le=256, description="Answers of a model written at once.")
    ] = 2
    timeout_s: Annotated[
        Seconds, Field(description="For a label or spans; for the next words of a text tenfold.")
    ] = 3.0
    drain_s: Annotated[
        float, Field(ge=0, le=3600, description="Seconds at the end for what was accepted.")
    ] = 30.0
    reload_s: Annotated[
        float, Field(ge=0, le=86400, description="Look for newer runs so often; 0 for never.")
    ] = 10.0
    engine: Annotated[
        Literal["auto", "vllm"],
        Field(description="Who computes a run that writes: this program, or vLLM on a CUDA GPU."),
    ] = "auto"
    load_s: Annotated[
        float, Field(gt=0, le=86400, description="Seconds that vLLM may take to load.")
    ] = 900.0
    log_texts: Annotated[
        bool, Field(description="Write what is asked and answered to the log.")
    ] = False

    @field_validator("cors", mode="before")
    @classmethod
    def _listed(cls, given: object) -> object:
        return (given,) if isinstance(given, str) else given


class RouteConfig(Settings):
    """Who answers where a model is not sure, too slow, or fails."""

    rules: Annotated[
        str | None,
        Field(description="YAML file of rules; none: those that the run was judged beside."),
    ] = None
    threshold: Annotated[
        float | None,
        Field(ge=0, le=1, description="Least confidence of a label; none: as the run learnt it."),
    ] = None
    url: Annotated[
        str | None, Field(description="Endpoint, up to /v1, asked where no rule answers.")
    ] = None
    model: Annotated[str | None, Field(description="Name of the model there.")] = None
    protocol: Protocol = "openai"
    key_variable: KeyVariable = "OPENAI_API_KEY"
    timeout_s: Seconds = 20.0
    retries: Retries = 0
    max_new_tokens: Annotated[int, Field(ge=1, le=32768, description="Of its answer.")] = 512

    @model_validator(mode="after")
    def _whole(self) -> "RouteConfig":
        if (self.url is None) != (self.model is None):
            raise ValueError("url and model belong together; set both")
        return self
