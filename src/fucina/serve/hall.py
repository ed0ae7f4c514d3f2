"""What all paths share."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from fucina.serve.door import tell

if TYPE_CHECKING:
    from fastapi import Request

    from fucina.config import ServeConfig
    from fucina.serve.catalog import Catalog
    from fucina.serve.counting import Counts

__all__ = ["Documents", "Hall"]


class Documents(Protocol):
    """Documents that can be asked."""

    async def ask(self, question: str, history: Sequence[tuple[str, str]]) -> dict[str, Any]:
        """What they say to a question, with the turns before it."""


@dataclass(frozen=True)
class Hall:
    """What all paths share.

    Attributes:
        config: Of the server.
        catalog: The models.
        counts: What happened.
        documents: None where none are served.
        reload: Looks for newer runs now; gives the names of those that were taken up.
    """

    config: "ServeConfig"
    catalog: "Catalog"
    counts: "Counts"
    documents: Documents | None
    reload: Callable[[], Sequence[str]]

    def remember(
        self,
        request: "Request",
        texts: Sequence[str],
        replies: Sequence[dict[str, Any]],
        model: str,
    ) -> None:
        """Tell the log who answered; what was asked and answered only where that is wanted."""
        routes = sorted({reply["route"] for reply in replies})
        reasons = sorted({reply["reason"] for reply in replies if reply["reason"]})
        facts = {"model": model, "rows": len(texts), "route": ",".join(routes),
                 "reason": ",".join(reasons) or None}  # fmt: skip
        if self.config.log_texts:
            facts |= {"asked": list(texts), "answered": [reply["answer"] for reply in replies]}
        tell(request.scope, **facts)
