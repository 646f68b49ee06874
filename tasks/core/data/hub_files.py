"""Files of a data set's repository on the Hub that its cells name, fetched one by one at the commit of the data."""

import errno
import os
from pathlib import Path, PurePosixPath

from huggingface_hub import constants, hf_hub_download
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, LocalEntryNotFoundError


class HubFiles:
    """Files of one commit. They stay in the Hub's cache, as all that is fetched from there."""

    def __init__(self, dataset: str, revision: str | None) -> None:
        self._dataset, self._revision = dataset, revision

    def fetch(self, name: str) -> Path:
        """Where the file called `name` is on this machine.

        Raises:
            FileNotFoundError: the commit has none, or it has not been fetched and the Hub is not to be asked.
            OSError: the Hub refuses it, or with EAGAIN does not answer now.
        """
        path = PurePosixPath(name.replace("\\", "/").strip())
        parts = [part for part in path.parts if part != "."]
        if path.is_absolute() or ".." in parts or not parts:
            raise FileNotFoundError(name)
        token = os.environ.get("HUGGINGFACE_TOKEN") or None
        try:
            return Path(
                hf_hub_download(
                    self._dataset, "/".join(parts), repo_type="dataset", revision=self._revision, token=token
                )
            )
        except LocalEntryNotFoundError as error:
            raise _not_now(name, error) from None
        except EntryNotFoundError:
            raise FileNotFoundError(name) from None
        except HfHubHTTPError as error:
            code = error.response.status_code
            raise _not_now(name, error) if code >= 500 or code == 429 else PermissionError(0, str(error)) from None
        except ValueError as error:  # a name that the Hub has none of
            raise FileNotFoundError(str(error)) from None


def _not_now(name: str, error: Exception) -> OSError:
    if constants.HF_HUB_OFFLINE:
        return FileNotFoundError(name)
    return OSError(errno.EAGAIN, f"the Hub does not send {name}: {error}")
