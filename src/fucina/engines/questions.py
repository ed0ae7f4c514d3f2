"""What an engine with a template of its own makes of a question that it should not read."""

from fucina.engines.interface import Sampling
from fucina.errors import DataError
from fucina.models.template import Template
from fucina.records import Example

__all__ = ["refuse_signs", "too_long"]


def refuse_signs(example: Example, template: Template) -> None:
    """Refuse a row with words that only the template may write, such as the end of a turn.

    Raises:
        DataError: It has one, which the model would take for a sign of its own.
    """
    for text in (example.prompt, *(turn.content for turn in example.messages)):
        if found := template.control_tokens(text):
            raise DataError(
                f"the text holds {found[0]}, which the model takes for a sign of its own.",
                fix="Leave it out, or write it otherwise.",
            )


def too_long(read: int, whole: int, sampling: Sampling) -> bool:
    """Whether a question is cut to be read.

    Args:
        read: Tokens that are read of it.
        whole: Tokens that it has.
        sampling: Says whether it may be cut.

    Raises:
        DataError: It may not.
    """
    if read < whole and sampling.whole:
        raise DataError(
            f"the question has {whole} tokens with what was said before; {read} can be read.",
            fix="Leave out the oldest turns, or ask shorter.",
        )
    return read < whole
