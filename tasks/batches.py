"""The batch jobs of a checkpoint, with the client and the storage that go with them. Wiring only.

The one place that puts the groups of core/answering/batch together.
"""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager
from pathlib import Path

from tasks.core.answering.base import Answerer, Watcher
from tasks.core.answering.batch.answerer import BatchAnswerer
from tasks.core.answering.batch.bounds import Bounds
from tasks.core.answering.batch.flight import BatchLimits
from tasks.core.answering.batch.groups import Groups
from tasks.core.answering.batch.paying import GroupPaying, GroupPayingWithin
from tasks.core.answering.misfits import Fitting
from tasks.core.answering.online import OnlineAnswerer
from tasks.core.answering.paying import Paying, PayingBeside, PayingWithin
from tasks.core.answering.run import Run
from tasks.core.answering.uploading import UploadingModel
from tasks.core.checkpoint.groups import GroupRecords
from tasks.core.checkpoint.holder import holder_of
from tasks.core.checkpoint.layout import Storage, lock_key
from tasks.core.config.batch import BatchRun
from tasks.core.config.generation import GenerateConfig
from tasks.core.config.parameters import BATCH_ROWS
from tasks.core.costs.budget import Whole
from tasks.core.costs.prices import BATCH, Price
from tasks.core.costs.purse import OwnPurse
from tasks.core.costs.purse_records import PurseRecords
from tasks.core.costs.worst import Worst
from tasks.core.environment.credentials import key_mark
from tasks.core.errors import ApiError, MalformedAnswer, RunStopped, StopReason
from tasks.core.files.atomic import drafted_folder
from tasks.core.gemini.client import GeminiClient
from tasks.core.media.uploads import Uploads


def batch_answerer(run: Run, plan: BatchRun, storage: Storage, watcher: Watcher, fitting: Fitting | None) -> Answerer:
    """What answers the chunks of a run by batch jobs. `fitting`: see OnlineAnswerer."""
    client, rest = GeminiClient(run.generation), ExitStack()
    folder = rest.enter_context(_files_under_way())
    uploads = Uploads(client.files)
    of_groups, paying = _paying(run, storage)

    def online() -> Answerer:
        model = UploadingModel(client, uploads, run.limits.timeout_seconds)
        return OnlineAnswerer(model, run.limits, watcher, fitting=fitting, paying=paying)

    async def close() -> None:
        await uploads.close()
        await client.close()
        await asyncio.to_thread(rest.close)

    return BatchAnswerer(
        _groups(client, storage, run.job, folder, plan.owner, fitting, of_groups),
        run.attempt,
        uploads.sendable,
        folder,
        online,
        BatchLimits(Bounds(rows=BATCH_ROWS), plan.deadline, plan.wait_seconds),
        plan.leftovers,
        watcher,
        run.limits.allow_missing_images,
        close,
    )


def _paying(run: Run, storage: Storage) -> tuple[GroupPaying, Paying]:
    """Of groups, and of requests beside them, which spend of one budget."""
    if not run.terms:
        return GroupPaying(), Paying()
    whole, own = (
        PayingWithin(run.terms, purse, run.generation, run.limits.max_concurrent)
        for purse in (Whole(run.terms.left), OwnPurse(PurseRecords(storage, run.job, run.attempt), run.terms.left))
    )
    price = run.terms.price
    return GroupPayingWithin(price, Worst(price, run.generation, BATCH), whole), PayingBeside(whole, own)


@asynccontextmanager
async def groups_of(
    generation: GenerateConfig,
    storage: Storage,
    job: str,
    owner: str = "",
    price: Price | None = None,
) -> AsyncIterator[Groups]:
    """The groups of a job, for whoever sends no chunk. `price`: by which their answers are settled.

    They hold no answer to a schema: of the attempts that have sent them, each may have asked for another.
    """
    with _files_under_way() as folder:
        async with GeminiClient(generation) as client:
            yield _groups(client, storage, job, folder, owner, None, GroupPaying(price))


async def lists_batches(generation: GenerateConfig) -> bool:
    """Whether the API that requests go to knows of batch jobs; one that cannot say so now may."""
    async with GeminiClient(generation) as client:
        try:
            await client.batches.jobs(size=1)
        except ApiError as error:
            return error.code not in (404, 405, 501)
        except MalformedAnswer:
            return False
        except ConnectionError:
            return True
    return True


def _groups(
    client: GeminiClient,
    storage: Storage,
    job: str,
    folder: Path,
    owner: str,
    fitting: Fitting | None,
    paying: GroupPaying,
) -> Groups:
    def confirm() -> None:
        """A run that stood still may have lost the job: then it creates nothing."""
        holder = holder_of(storage, lock_key(job)) if owner else None
        if holder and holder.owner != owner:
            raise RunStopped(StopReason.TAKEN_OVER, f"this run stood still for too long, and {holder} has its job now")

    return Groups(client.batches, GroupRecords(storage, job), folder, key_mark(), fitting, paying, confirm=confirm)


def _files_under_way() -> AbstractContextManager[Path]:
    """A folder for inputs and results; what a process that was killed has left of it goes as well."""
    return drafted_folder(Path(tempfile.gettempdir()))
