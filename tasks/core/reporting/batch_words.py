"""How batch jobs are doing, in words. Times are in seconds since 1970."""

from tasks.core.batches import AtWork, BatchJob, Making, Step, jobs_counted
from tasks.core.text import counted, lasting


def jobs_words(now: AtWork) -> str:
    """`2 batch jobs: 1 running, 1 pending; 150 of 400 rows done at Google`; empty where none is at work."""
    if not now.jobs:
        return ""
    states = ", ".join(f"{number:,} {state.lower() or 'at work'}" for state, number in now.states)
    return f"{counted(now.jobs, 'batch job')}: {states}; {now.done:,} of {counted(now.rows, 'row')} done at Google"


def times_words(now: AtWork, time: float) -> str:
    """`next look in 4 min 10 s; deadline in 5 h 12 min`"""
    if not now.jobs:
        return ""
    until = now.next_look - time
    words = f"next look in {lasting(until)}" if until >= 1 else "looking"
    if now.deadline is None:
        return words
    left = now.deadline - time
    return f"{words}; " + (f"deadline in {lasting(left)}" if left > 0 else "past the deadline: asked to end")


def making_words(making: Making) -> str:
    """`packing the next batch job: 1,200 rows, 12.3 MB`"""
    match making.step:
        case Step.PACKING:
            return f"{making.step}: {counted(making.rows, 'row')}, {_mb(making.bytes)} MB"
        case Step.UPLOADING:
            return f"{making.step}: {_mb(making.sent)} of {_mb(making.bytes)} MB, {counted(making.rows, 'row')}"
        case _:
            return f"{making.step}: {counted(making.rows, 'row')}"


def job_words(job: BatchJob) -> str:
    """Of one that was made, or has ended."""
    if not job.ended:
        return f"{job.name}: {counted(job.requests, 'row')} sent"
    why = f" ({job.error.message})" if job.error else ""
    return f"{job.name} {job.state.lower()}{why}: {job.succeeded:,} of {counted(job.requests, 'row')}"


def stopping_words(at_work: AtWork | None, making: Making | None) -> str:
    """What the first Ctrl+C leaves at work; empty where there are no batch jobs."""
    if making and making.step in (Step.CREATING, Step.FINDING):
        return "stopping: the API has been asked for a batch job, and its word is waited for; Ctrl+C again leaves now"
    if not at_work or not at_work.jobs:
        return "stopping: no batch job is at work" if making else ""
    return f"stopping: {going_on(at_work.jobs, at_work.rows)}"


def going_on(jobs: int, rows: int) -> str:
    """What is said of jobs that whoever leaves them does not end."""
    return f"{jobs_counted(jobs, rows)} {'goes' if jobs == 1 else 'go'} on at Google"


def _mb(size: int) -> str:
    return f"{size / 1e6:,.1f}"
