"""Files of a data set's repository on the Hub that its cells name, fetched one by one at the commit of the data."""

import os
from pathlib import Path, PurePosixPath

from huggingface_hub import hf_hub_download
from huggingface_hub.errors import EntryNotFoundError

from tasks.core.data.remote.patience import patiently


class HubFiles:
    """Files of one commit. They stay in the Hub's cache, as all that is fetched from there."""

    def __init__(self, dataset: str, revision: str | None) -> None:
        self._dataset, self._revision = dataset, revision

    def fetch(self, name: str) -> Path:
        """Where the file called `name` is on this machine; `name` may be its whole address.

        Raises:
            FileNotFoundError: the commit has none, or it has not been fetched and the Hub is not to be asked.
            DataUnavailable: the Hub refuses it, or does not answer.
        """
        own = name.removeprefix(f"hf://datasets/{self._dataset}@{self._revision}/")
        path = PurePosixPath(own.replace("\\", "/").strip())
        parts = [part for part in path.parts if part != "."]
        if path.is_absolute() or ".." in parts or not parts or "://" in own:
            raise FileNotFoundError(name)
        try:
            return patiently(name, lambda: self._downloaded("/".join(parts)))
        except EntryNotFoundError:
            raise FileNotFoundError(name) from None
        except ValueError as error:  # a name that the Hub has none of
            raise FileNotFoundError(str(error)) from None

    def _downloaded(self, path: str) -> Path:
        token = os.environ.get("HUGGINGFACE_TOKEN") or None
        return Path(hf_hub_download(self._dataset, path, repo_type="dataset", revision=self._revision, token=token))
