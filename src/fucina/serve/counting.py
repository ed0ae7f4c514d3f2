"""What happens, counted as Prometheus reads it; never anything of what was asked."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

if TYPE_CHECKING:
    from fucina.serve.catalog import Catalog

__all__ = ["Counts"]

SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
SIZES = (1, 2, 4, 8, 16, 32)


class Counts:
    """Remembers how often what happened, apart from any other server in this process."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        own = {"registry": self._registry}
        self._requests = Counter("fucina_requests", "Requests answered.", ("path", "status"), **own)
        self._seconds = Histogram(
            "fucina_request_seconds", "From a request to the end of its answer.", ("path",),
            buckets=SECONDS, **own,
        )  # fmt: skip
        self._answers = Counter(
            "fucina_answers", "Answers, by who gave them and why.", ("model", "route", "reason"),
            **own,
        )  # fmt: skip
        self._batches = Histogram(
            "fucina_batch_rows", "Rows that were computed together.", ("model",), buckets=SIZES,
            **own,
        )  # fmt: skip
        self._tokens = Counter(
            "fucina_tokens", "Tokens read and written.", ("model", "side"), **own
        )
        self._reloads = Counter(
            "fucina_reloads", "Newer runs taken up, or refused.", ("model", "outcome"), **own
        )
        self._under_way = Gauge("fucina_requests_under_way", "Requests under way.", **own)
        self._waiting = Gauge("fucina_waiting", "What waits for a model.", ("model",), **own)

    def request(self, path: str, status: int, seconds: float) -> None:
        """A request was answered."""
        self._requests.labels(path, str(status)).inc()
        self._seconds.labels(path).observe(seconds)

    def under_way(self, change: int) -> None:
        """So many requests began, or ended where below 0."""
        self._under_way.inc(change)

    def answered(self, model: str, route: str, reason: str) -> None:
        """A text was answered, or was not."""
        self._answers.labels(model, route, reason).inc()

    def batch(self, model: str) -> Callable[[int], None]:
        """What is told the sizes of batches of a model."""
        return self._batches.labels(model).observe

    def tokens(self, model: str, read: int, written: int) -> None:
        """A text was written."""
        self._tokens.labels(model, "read").inc(read)
        self._tokens.labels(model, "written").inc(written)

    def reloaded(self, model: str, outcome: str) -> None:
        """A newer run was `taken`, or `refused`."""
        self._reloads.labels(model, outcome).inc()

    def shown(self, catalog: "Catalog") -> bytes:
        """All of it, in the text format of Prometheus."""
        for station in catalog.stations:
            self._waiting.labels(station.served.name).set(station.waiting)
        return generate_latest(self._registry)
