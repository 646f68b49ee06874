"""What lets a run in: a key, or a sign-in to Google for Vertex AI, as the SDK finds them. Must not import the SDK.

Asks nobody but the metadata server of a machine at Google, and that only whether it is there.
"""

import hashlib
import os
import re
import sys
import time
from contextlib import closing, suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from tasks.core.environment.endpoint import BASE_URL
from tasks.core.environment.variables import set_in
from tasks.core.errors import InputError

KEYS = ("GOOGLE_API_KEY", "GEMINI_API_KEY")  # the first that is set is used
_SWITCHES = ("GOOGLE_GENAI_USE_ENTERPRISE", "GOOGLE_GENAI_USE_VERTEXAI")  # as above
_SIGN_IN = "GOOGLE_APPLICATION_CREDENTIALS"
_METADATA_SECONDS = 0.5
_WHERE_KEYS_ARE = (
    "A key is made at https://aistudio.google.com/apikey; write GOOGLE_API_KEY=… into .env in this folder. "
    "--demo and --show need none."
)


def has_credentials() -> bool:
    """Whether the environment names a key, or Vertex AI."""
    return uses_vertex() or key_variable() is not None


def key_variable() -> str | None:
    """The variable whose key is used."""
    return next((name for name in KEYS if os.environ.get(name, "").strip()), None)


def key_mark() -> str:
    """What a key is known by in records, which hold no key: a few digits of its hash; empty without one."""
    name = key_variable()
    return hashlib.sha256(os.environ[name].strip().encode()).hexdigest()[:8] if name else ""


def uses_vertex() -> bool:
    """Whether Vertex AI is switched on."""
    value = next((os.environ[name] for name in _SWITCHES if name in os.environ), "")
    return value.lower() in ("true", "1")


def check_credentials() -> list[str]:
    """Returns a line where it is not plain which key is used.

    Raises:
        InputError: there is no key, or what is there cannot be one; Vertex AI without a sign-in to Google.
    """
    if not has_credentials():
        raise InputError("GOOGLE_API_KEY is not set in .env file", "ValueError", _WHERE_KEYS_ARE)
    name = key_variable()
    if name:
        _check_key(name)
    if uses_vertex() and _signs_in(name):
        _check_sign_in()
    return _two_keys() if name and not uses_vertex() else []


def _check_key(name: str) -> None:
    key = os.environ[name]
    problem = (
        "a line break in it"
        if re.search(r"[\r\n]", key)
        else "blanks around it"
        if key != key.strip()
        else "a character in it that no key has"
        if not re.fullmatch(r"[!-~]+", key)
        else ""
    )
    if problem:
        raise InputError(f"{name} has {problem}; copy the key again into {set_in(name)}")


def _two_keys() -> list[str]:
    first, second = ((name, os.environ.get(name)) for name in KEYS)
    if not (first[1] and second[1]) or first[1] == second[1]:
        return []
    return [f"{first[0]} from {set_in(first[0])} is used, and not {second[0]} from {set_in(second[0])}"]


def _signs_in(key: str | None) -> bool:
    """A key alone is Vertex AI's express mode; a base URL of one's own is a gateway, which has its own ways."""
    placed = any(os.environ.get(name) for name in ("GOOGLE_CLOUD_PROJECT", "GOOGLE_CLOUD_LOCATION"))
    return (placed or not key) and not os.environ.get(BASE_URL)


def _check_sign_in() -> None:
    """Google's own library looks in these places, and in the last one for half a minute."""
    named = os.environ.get(_SIGN_IN)
    if named and not Path(named).expanduser().is_file():
        raise InputError(f"{_SIGN_IN}={named}, set in {set_in(_SIGN_IN)}, is not a file", "FileNotFoundError")
    if not named and not _gcloud_file().is_file() and not _is_at_google():
        raise InputError(
            "Vertex AI is switched on, and nobody is signed in to Google on this machine: run `gcloud auth "
            f"application-default login`, or name a service account's file in {_SIGN_IN}; or set "
            f"{next(name for name in _SWITCHES if name in os.environ)}=false to use a key",
            "DefaultCredentialsError",
        )


def _gcloud_file() -> Path:
    folder = os.environ.get("CLOUDSDK_CONFIG")
    if not folder and sys.platform == "win32":
        folder = str(Path(os.environ.get("APPDATA", "")) / "gcloud")
    return Path(folder or Path.home() / ".config" / "gcloud") / "application_default_credentials.json"


def _is_at_google() -> bool:
    """Whether Google's metadata server gives out sign-ins here. One that boots with the machine may take a second."""
    if os.environ.get("NO_GCE_CHECK", "").lower() in ("true", "1"):
        return False
    place = os.environ.get("GCE_METADATA_HOST") or "169.254.169.254"  # other clouds have theirs at that address too
    for attempt in range(2):
        time.sleep(attempt * _METADATA_SECONDS)
        with suppress(OSError, HTTPException), closing(HTTPConnection(place, timeout=_METADATA_SECONDS)) as connection:
            connection.request("GET", "/", headers={"Metadata-Flavor": "Google"})
            if connection.getresponse().headers.get("Metadata-Flavor") == "Google":
                return True
    return False
