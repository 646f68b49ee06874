"""Prepares a Prefect server, as often as you like: work pool, limit on the tag `gemini`, result storage, dead runs.

    python deployments/bootstrap.py --dry-run
    python deployments/bootstrap.py --limit 20 --storage s3://bucket/gemini-infer

Creates what is missing and updates what differs; removes nothing. Speaks to the server of PREFECT_API_URL.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import httpx
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.objects import StateType
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound
from prefect.filesystems import LocalFileSystem, RemoteFileSystem
from prefect.settings import get_current_settings
from pydantic import ValidationError

POOL = "gemini-infer"
TAG_LIMIT = "tag:gemini"  # how Prefect names the limit of a tag
BLOCK = "gemini-infer"
DEAD_RUNS = "gemini-infer: a run without a sign of life has crashed"
SILENT_SECONDS = 90  # three heartbeats, see prefect.yaml


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the server is to have. None: leave it as it is."""

    pool: str = POOL
    limit: int | None = None
    storage: str | None = None
    storage_settings: dict[str, Any] = field(default_factory=dict)


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code: 2 for bad input, 1 for a server that does not answer."""
    options = _parser().parse_args(arguments)
    url = get_current_settings().api.url
    if not url:
        print("PREFECT_API_URL is not set: start a server with `prefect server start` and name it", file=sys.stderr)
        return 2
    wanted = Wanted(options.pool, options.limit, options.storage, options.storage_settings)
    try:
        lines = asyncio.run(bootstrap(wanted, dry_run=options.dry_run))
    except httpx.TransportError as error:
        print(f"no Prefect server answers at {url}: {error}", file=sys.stderr)
        return 1
    except ValidationError as error:
        print(f"--storage {options.storage}: {error.errors()[0]['msg']}", file=sys.stderr)
        return 2
    print("\n".join(lines))
    return 0


async def bootstrap(wanted: Wanted, *, dry_run: bool = False) -> list[str]:
    """Make the server have what is `wanted`; one line a thing says what was done, or would be."""
    async with get_client() as client:
        lines = [
            await _work_pool(client, wanted, dry_run),
            await _tag_limit(client, wanted, dry_run),
            await _storage(wanted, dry_run),
            await _dead_runs(client, dry_run),
        ]
    return [f"would be {line}" if dry_run and line.startswith(("created", "set")) else line for line in lines]


async def _work_pool(client: PrefectClient, wanted: Wanted, dry_run: bool) -> str:
    try:
        pool = await client.read_work_pool(wanted.pool)
    except ObjectNotFound:
        if not dry_run:
            with suppress(ObjectAlreadyExists):  # a worker that waits for its pool makes it, too
                await client.create_work_pool(WorkPoolCreate(name=wanted.pool, type="process"))
        return f"created: work pool {wanted.pool} (process)"
    return f"there: work pool {pool.name} ({pool.type})"


async def _tag_limit(client: PrefectClient, wanted: Wanted, dry_run: bool) -> str:
    try:
        now: int | None = (await client.read_global_concurrency_limit_by_name(TAG_LIMIT)).limit
    except ObjectNotFound:
        now = None
    if wanted.limit is None:
        return f"there: {now} chunks at once over all runs" if now else "not asked for: a limit on chunks (--limit N)"
    if now == wanted.limit:
        return f"there: {now} chunks at once over all runs"
    if not dry_run:
        await client.upsert_global_concurrency_limit_by_name(TAG_LIMIT, wanted.limit)
    return f"set: {wanted.limit} chunks at once over all runs (was: {now or 'no limit'})"


async def _storage(wanted: Wanted, dry_run: bool) -> str:
    if wanted.storage is None:
        return "not asked for: shared result storage (--storage URL)"
    block: LocalFileSystem | RemoteFileSystem
    if wanted.storage.startswith("file://"):  # a folder that all machines mount
        block = LocalFileSystem(basepath=wanted.storage.removeprefix("file://"))
    else:
        block = RemoteFileSystem(basepath=wanted.storage, settings=wanted.storage_settings)
    if not dry_run:
        await block.save(BLOCK, overwrite=True)
    name = f"{block.get_block_type_slug()}/{BLOCK}"
    return f"set: result storage {wanted.storage}; workers need PREFECT_DEFAULT_RESULT_STORAGE_BLOCK={name}"


async def _dead_runs(client: PrefectClient, dry_run: bool) -> str:
    wanted, found = _automation(), await client.read_automations_by_name(DEAD_RUNS)
    if not found:
        if not dry_run:
            await client.create_automation(wanted)
        return f"created: automation {DEAD_RUNS!r}"
    if found[0].actions == wanted.actions:
        return f"there: automation {DEAD_RUNS!r}"
    if not dry_run:
        await client.update_automation(found[0].id, wanted)
    return f"set: automation {DEAD_RUNS!r}"


def _automation() -> AutomationCore:
    """A flow run that has sent a heartbeat, and then neither another one nor its end, is gone with its machine."""
    trigger = EventTrigger(
        after={"prefect.flow-run.heartbeat"},
        expect={
            "prefect.flow-run.heartbeat",
            *(f"prefect.flow-run.{end}" for end in ("Completed", "Failed", "Cancelled", "Crashed", "Scheduled")),
            *(
                f"prefect.flow-run.{end}"
                for end in ("Incomplete", "Unanswered", "Refused", "Interrupted", "AwaitingRetry")
            ),
        },
        match=ResourceSpecification({"prefect.resource.id": ["prefect.flow-run.*"]}),
        for_each={"prefect.resource.id"},
        posture=Posture.Proactive,
        threshold=1,
        within=timedelta(seconds=SILENT_SECONDS),
    )
    message = "No sign of life; Retry goes on from its checkpoint."
    # Not by force: a run's last heartbeat may be heard after its end, and an end is left alone then.
    action = ChangeFlowRunState(state=StateType.CRASHED, name="Crashed", message=message, force=False)
    return AutomationCore(name=DEAD_RUNS, trigger=trigger, actions=[action])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python deployments/bootstrap.py",
        description="Prepare the Prefect server of PREFECT_API_URL for the deployments of prefect.yaml.",
    )
    add = parser.add_argument
    add("--dry-run", action="store_true", help="say what would be done, and do nothing")
    add("--pool", default=POOL, metavar="NAME", help="work pool of prefect.yaml (default: %(default)s)")
    add(
        "--limit",
        type=_positive,
        metavar="N",
        help="chunks at once over all runs and machines; for PostgreSQL: slow on SQLite",
    )
    add("--storage", metavar="URL", help="shared result storage, such as s3://bucket/folder or file:///mnt/shared")
    add(
        "--storage-settings",
        type=json.loads,
        default={},
        metavar="JSON",
        help='fsspec settings of --storage, such as {"endpoint_url": "https://minio.example.org"}',
    )
    return parser


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is not at least 1")
    return value


if __name__ == "__main__":
    raise SystemExit(main())
