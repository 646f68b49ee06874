"""Hears how a run of this process is going, and says so: progress, log lines, and the end of starting chunks."""

from collections import deque
from collections.abc import Callable

from prefect import get_run_logger

from tasks.core.answering.base import Watcher
from tasks.core.answering.traffic import Traffic
from tasks.core.batches import AtWork, BatchJob, Making
from tasks.core.config.limits import LimitsConfig
from tasks.core.errors import StopReason
from tasks.core.records import Repeat, RowAnswer
from tasks.core.reporting.batch_words import job_words, stopping_words
from tasks.core.reporting.progress import Progress
from tasks.core.reporting.summary import stopping_line
from tasks.core.reporting.weather_log import LimitLog, OutageLog


class BatchWatcher(Watcher):
    """Hears of batch jobs. Made within the flow run that it logs for."""

    def __init__(self, progress: Progress) -> None:
        self.progress, self._logger = progress, get_run_logger()

    def answered(self, answer: RowAnswer) -> None:
        self.progress.add(answer)

    def at_work(self, now: AtWork) -> None:
        self.progress.at_work = now

    def making(self, what: Making | None) -> None:
        self.progress.making = what

    def job(self, job: BatchJob) -> None:
        self._logger.info(job_words(job))


class RunWatcher(BatchWatcher):
    """`arrived`: answers that nobody has taken up yet."""

    def __init__(self, limits: LimitsConfig, progress: Progress, stop_starting: Callable[[], object]) -> None:
        super().__init__(progress)
        self.arrived: deque[RowAnswer | Repeat] = deque()  # filled on the loop of the requests
        self._stop_starting, self._grace_seconds = stop_starting, limits.grace_seconds
        self._limits = LimitLog(limits.max_concurrent, self._logger)
        self._outages = OutageLog(limits.give_up_seconds, self._logger)
        self._saving_fails = False

    def begun(self, traffic: Callable[[], Traffic]) -> None:
        self.progress.traffic = traffic

    def answered(self, answer: RowAnswer) -> None:
        self.arrived.append(answer)
        super().answered(answer)

    def repeated(self, repeat: Repeat) -> None:
        self.arrived.append(repeat)

    def stopping(self, reason: StopReason, on_their_way: int) -> None:
        self._stop_starting()
        self.progress.stopping = True
        if reason is StopReason.INTERRUPTED:
            batches = stopping_words(self.progress.at_work, self.progress.making)
            self._logger.warning(batches or stopping_line(on_their_way, self._grace_seconds, self._saving_fails))

    def limit_changed(self, limit: int) -> None:
        self._limits(limit)

    def outage(self, why: str, seconds: float) -> None:
        self.progress.outage = why
        self._outages(why, seconds)

    def saving_failed(self, why: str) -> None:
        self._saving_fails = bool(why)
        if why:
            self._logger.warning("Answers cannot be saved (%s); nothing is sent until they can", why)
        else:
            self._logger.info("Answers can be saved again")
