"""How long each stage of a run took: the truth that an estimate is compared with."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import psutil

__all__ = ["Lap", "Laps"]


@dataclass(frozen=True)
class Lap:
    """What one stage took.

    Attributes:
        stage: Its name.
        seconds: On the clock.
        cpu_s: Of all cores together; on a busy machine this moves less than the clock does.
    """

    stage: str
    seconds: float
    cpu_s: float


@dataclass
class Laps:
    """Remembers when the last stage ended, and what each took.

    Example:
        >>> laps = Laps()
        >>> laps.end("rows").stage, [lap.stage for lap in laps.done]
        ('rows', ['rows'])
    """

    done: list[Lap] = field(default_factory=list)
    clock: float = field(default_factory=time.perf_counter)
    cpu: float = field(default_factory=time.process_time)

    def end(self, stage: str) -> Lap:
        """Note that a stage ends now; the next one begins."""
        now, cpu = time.perf_counter(), time.process_time()
        lap = Lap(stage, now - self.clock, cpu - self.cpu)
        self.clock, self.cpu = now, cpu
        self.done.append(lap)
        return lap

    @contextmanager
    def apart(self, stage: str) -> Iterator[None]:
        """Count what is done inside for a stage of its own, not for the one under way.

        Example:
            >>> laps = Laps()
            >>> with laps.apart("checkpoints"):
            ...     pass
            >>> with laps.apart("checkpoints"):
            ...     pass
            >>> laps.end("training").stage, [lap.stage for lap in laps.done]
            ('training', ['checkpoints', 'training'])
        """
        clock, cpu = time.perf_counter(), time.process_time()
        try:
            yield
        finally:
            spent, own = time.perf_counter() - clock, time.process_time() - cpu
            self.clock, self.cpu = self.clock + spent, self.cpu + own
            if self.done and self.done[-1].stage == stage:
                before = self.done.pop()
                spent, own = spent + before.seconds, own + before.cpu_s
            self.done.append(Lap(stage, spent, own))

    @classmethod
    def of_process(cls) -> "Laps":
        """Count from the start of this process: for one that does nothing else."""
        age = time.time() - psutil.Process().create_time()
        return cls([], time.perf_counter() - age, 0.0)
