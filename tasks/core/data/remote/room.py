"""How much room there is for data."""

import shutil
from pathlib import Path

import datasets

MARGIN = 1_000_000_000  # bytes that stay free


def free_bytes() -> int:
    """What may be written on the disk of datasets' cache."""
    folder = Path(datasets.config.HF_DATASETS_CACHE)
    while not folder.exists():
        folder = folder.parent
    return max(0, shutil.disk_usage(folder).free - MARGIN)
