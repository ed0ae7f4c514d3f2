"""What is wrong with a request, as every path tells it: in the form that OpenAI's clients read."""

from typing import Any

from pydantic import BaseModel, Field

__all__ = ["Problem", "ProblemBody", "body_of"]


class Problem(Exception):
    """A request that is not answered.

    Args:
        status: Of HTTP.
        message: What is wrong, with the offending value.
        fix: What to do about it.
        code: For programs.
        param: The field that is wrong.
        retry_s: Seconds after which it may be asked again; 0 where that would not help.
    """

    def __init__(
        self,
        status: int,
        message: str,
        fix: str,
        *,
        code: str = "invalid_request",
        param: str | None = None,
        retry_s: int = 0,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.fix = status, message, fix
        self.code, self.param, self.retry_s = code, param, retry_s


class ProblemFacts(BaseModel):
    """What is wrong."""

    message: str = Field(description="What happened.")
    fix: str = Field(description="What to do about it.")
    type: str = Field(description="invalid_request_error, or server_error.")
    code: str = Field(description="For programs.")
    param: str | None = Field(description="The field that is wrong.")


class ProblemBody(BaseModel):
    """Every answer that is none."""

    error: ProblemFacts


def body_of(problem: Problem) -> dict[str, Any]:
    """A problem as JSON has it."""
    kind = "server_error" if problem.status >= 500 else "invalid_request_error"
    facts = ProblemFacts(
        message=f"{problem.message} {problem.fix}", fix=problem.fix, type=kind,
        code=problem.code, param=problem.param,
    )  # fmt: skip
    return ProblemBody(error=facts).model_dump()
