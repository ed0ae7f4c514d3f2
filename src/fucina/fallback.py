"""Another model that answers where a served one does not."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fucina.endpoint import Server, converse, is_loopback, json_values, read_named, require_key
from fucina.errors import EndpointError
from fucina.records import Example

if TYPE_CHECKING:
    from fucina.config import RouteConfig
    from fucina.records import Answer

__all__ = ["open_elsewhere"]


def open_elsewhere(
    config: "RouteConfig", kind: "Answer", labels: Sequence[str], keys: Mapping[str, str]
) -> Callable[[Example], Any] | None:
    """Give a function of a row to the answer of another model; None where none is named.

    Args:
        config: Where it is.
        kind: Of answer.
        labels: That a row, or a span, can have; the other model is told them.
        keys: Name of a variable to the key of an endpoint.

    Raises:
        RecipeError: The address is none, or a key is missing.
    """
    if config.url is None or config.model is None:
        return None
    server = Server(
        config.url, config.model, config.key_variable, config.timeout_s, config.retries,
        config.protocol, ("route.url", "route.model"),
    )  # fmt: skip
    key = keys.get(config.key_variable, "")
    if not is_loopback(config.url, "route"):
        require_key(server, key, section="route")
    # It takes seconds, and torch, to read in; most servers name no other model.
    from fucina.advise import asked_of

    told = _told(kind, labels)

    def ask(row: Example) -> Any:
        turns = asked_of(row, told)
        (reply,) = converse(
            server, key, [turns], max_new_tokens=config.max_new_tokens, section="route"
        )
        return _read(reply.text, row.prompt, kind, labels)

    return ask


def _told(kind: "Answer", labels: Sequence[str]) -> str:
    names = ", ".join(labels)
    if kind == "label":
        return f"Answer with exactly one of these labels and nothing else: {names}."
    if kind == "spans":
        return (
            "List the parts of the text that are one of these types, as JSON and nothing else: "
            f'[{{"text": "...", "label": "..."}}]. Types: {names}.'
        )
    return ""


def _read(said: str, text: str, kind: "Answer", labels: Sequence[str]) -> Any:
    """What another model answered, in the form of the one in whose place it did.

    Raises:
        EndpointError: It is none.

    Example:
        >>> _read("Direi: reso.", "?", "label", ["reso", "altro"])
        'reso'
        >>> _read('[{"text": "Forlì", "label": "loc"}]', "a Forlì", "spans", ["LOC"])
        [{'start': 2, 'end': 7, 'label': 'LOC', 'text': 'Forlì'}]
    """
    if kind == "text":
        return said.strip()
    if kind == "label":
        from fucina.advise import as_label

        label = as_label(said, labels)
        if label not in labels:
            raise EndpointError(f"{said[:80]!r} is no label.", fix="Set route.model to another.")
        return label
    parts = next((p for p in (read_named(v, labels) for v in json_values(said)) if p), None)
    if parts is None and json.dumps([]) not in said:
        raise EndpointError(f"{said[:80]!r} lists no spans.", fix="Set route.model to another.")
    spans, after = [], 0
    for part in parts or ():
        begin = text.find(part["text"], after)
        if begin >= 0 and part["label"] in labels and part["text"]:
            after = begin + len(part["text"])
            spans.append(
                {"start": begin, "end": after, "label": part["label"], "text": part["text"]}
            )
    return spans
