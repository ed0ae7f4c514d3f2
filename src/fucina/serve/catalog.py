"""The models by name, each of which may be exchanged while requests are under way."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from fucina.errors import nearest
from fucina.serve.counting import Counts
from fucina.serve.interface import Served
from fucina.serve.problems import Problem
from fucina.serve.station import Station

if TYPE_CHECKING:
    from fucina.config import ServeConfig

__all__ = ["Catalog"]


class Catalog:
    """Remembers the models.

    Args:
        served: The models; a request that names none means the first.
        config: How much they take on.
        counts: Told what happens.
    """

    def __init__(self, served: Sequence[Served], config: "ServeConfig", counts: Counts) -> None:
        self._config, self._counts = config, counts
        self._stations = {one.name: Station(one, config, counts) for one in served}
        self.open = True

    @property
    def stations(self) -> tuple[Station, ...]:
        """All of them, in the order in which they were given."""
        return tuple(self._stations.values())

    @contextmanager
    def use(self, name: str | None) -> Iterator[Station]:
        """A model, which stays as it is until the request is over.

        Raises:
            Problem: There is none of this name.
        """
        if name is None:
            name = next(iter(self._stations), "")
        if name not in self._stations:
            raise Problem(
                404, f"no model {name[:80]!r} is served.",
                nearest(name[:80], self._stations) if self._stations else "Start with a run.",
                code="model_not_found", param="model",
            )  # fmt: skip
        station = self._stations[name]
        station.users += 1
        try:
            yield station
        finally:
            station.users -= 1
            if station.users == 0 and self._stations.get(name) is not station:
                station.close()

    def exchange(self, served: Served) -> None:
        """Let a model take the place of its namesake, which requests under way keep."""
        old = self._stations[served.name]
        self._stations[served.name] = Station(served, self._config, self._counts)
        if old.users == 0:
            old.close()

    def close(self) -> None:
        """Let all threads end."""
        self.open = False
        for station in self.stations:
            station.close()
