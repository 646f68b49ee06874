"""Imports that the collector leaves alone."""

import gc

import pytest

from flows.importing import kept_for_good


def test_what_is_imported_is_not_collected_and_what_comes_later_is() -> None:
    frozen = gc.get_freeze_count()
    try:
        with kept_for_good():
            assert not gc.isenabled()
            kept = [[] for _ in range(100)]  # type: ignore[var-annotated]
        assert gc.isenabled()
        assert gc.get_freeze_count() >= frozen + len(kept)
        with pytest.raises(ImportError), kept_for_good():
            raise ImportError
        assert gc.isenabled()
    finally:
        gc.unfreeze()
