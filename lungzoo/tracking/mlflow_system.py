"""What the machine does while a run trains: processor, memory and GPU, sampled in the background.

Samples wait in memory and travel with the metrics of the next epoch. So only the training's own thread talks to the
store, where its silence is handled, and a store that is down costs a run nothing here.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from typing import Any

from mlflow.entities import Metric
from mlflow.environment_variables import (
    MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING,
    MLFLOW_SYSTEM_METRICS_NODE_ID,
    MLFLOW_SYSTEM_METRICS_SAMPLES_BEFORE_LOGGING,
    MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL,
)

_INTERVAL_S = 10.0
_SHORTEST_S = 1.0


class MachineWatch:
    """Samples this machine from its making until `stop`; MLflow's own environment variables set how often, and whether.

    Args:
        run_id: of the run that trains.
        began_ms: when it began, Unix time; steps are seconds since then.
    """

    def __init__(self, run_id: str, began_ms: int) -> None:
        self.run_id = run_id
        self._began_ms = began_ms
        self._interval_s = MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL.get() or _INTERVAL_S
        self._averaged = MLFLOW_SYSTEM_METRICS_SAMPLES_BEFORE_LOGGING.get() or 1
        node = MLFLOW_SYSTEM_METRICS_NODE_ID.get()
        self._prefix = f"system/{node}/" if node else "system/"
        self.waiting: list[Metric] = []
        """Samples that were not logged yet; whoever logs them takes them off the front."""
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="lungzoo-machine", daemon=True)
        if not MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING.is_set() or MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING.get():
            self._thread.start()

    def stop(self) -> list[Metric]:
        """Take a last sample and end; returns what waits."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join(_SHORTEST_S)
        return list(self.waiting)

    def _watch(self) -> None:
        with suppress(Exception):  # figures beside the results; whatever is wrong with them, the run goes on
            monitors = _monitors()
            _sample(monitors)
            _average(monitors)  # of the time before this run: forgotten
            last, taken = time.monotonic(), 0
            while not self._over.wait(self._interval_s):
                _sample(monitors)
                last, taken = time.monotonic(), taken + 1
                if taken % self._averaged == 0:
                    self._keep(_average(monitors))
            if time.monotonic() - last >= _SHORTEST_S:
                _sample(monitors)
            self._keep(_average(monitors))

    def _keep(self, values: dict[str, float]) -> None:
        now = int(time.time() * 1000)
        step = (now - self._began_ms) // 1000
        self.waiting += [Metric(self._prefix + name, value, now, step) for name, value in values.items()]


def _monitors() -> list[Any]:
    """Return MLflow's readers of processor, memory and, where there is one, GPU."""
    from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor
    from mlflow.system_metrics.metrics.gpu_monitor import GPUMonitor

    found = [CPUMonitor()]
    with suppress(Exception):  # no GPU, or no nvidia-ml-py
        found.append(GPUMonitor())
    return found


def _sample(monitors: list[Any]) -> None:
    for monitor in monitors:
        monitor.collect_metrics()


def _average(monitors: list[Any]) -> dict[str, float]:
    values: dict[str, float] = {}
    for monitor in monitors:
        values |= monitor.aggregate_metrics()
        monitor.clear_metrics()
    return values
