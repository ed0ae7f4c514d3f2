"""How long each stage of a run took: the truth that an estimate is compared with."""

import time
from dataclasses import dataclass, field

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
