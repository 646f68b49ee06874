"""Whose `.env` counts, and where a setting came from."""

import os
from pathlib import Path

import pytest

from deployments.demo import demo
from flows.cli import main
from flows.endings.exit_codes import ExitCode
from tasks.core.environment.credentials import check_credentials
from tasks.core.environment.variables import load_environment, set_in, unused
from tasks.core.errors import InputError
from tasks.core.gemini.client import Endpoint, other_endpoint

GOOGLE = ("GOOGLE_API_KEY", "GEMINI_API_KEY", "GOOGLE_GEMINI_BASE_URL", "GOOGLE_VERTEX_BASE_URL")
VERTEX = ("GOOGLE_GENAI_USE_VERTEXAI", "GOOGLE_GENAI_USE_ENTERPRISE", "GOOGLE_CLOUD_PROJECT", "GOOGLE_CLOUD_LOCATION")
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """A working directory two folders deep, and the project's folder; no variable of ours is set."""
    for name in ("ABOVE", "HERE", "BOTH", "PROJECT", "INFER_DATASET", *GOOGLE, *VERTEX):
        monkeypatch.setenv(name, "")  # so that what a test sets goes away with it
        monkeypatch.delenv(name)
    here, project = tmp_path / "above" / "here", tmp_path / "project"
    here.mkdir(parents=True)
    project.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setattr("tasks.core.environment.variables.PROJECT", project)
    return here, project


def test_only_the_working_directorys_and_the_projects_env_are_read(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not those of the folders above; the environment wins over both, the working directory over the project."""
    here, project = folders
    (here.parent / ".env").write_text("ABOVE=1")
    (here / ".env").write_text("HERE=1\nBOTH=here\nPATH=nowhere")
    (project / ".env").write_text("PROJECT=1\nBOTH=project")
    before = os.environ["PATH"]
    for _ in range(2):  # a run looks twice
        load_environment()
        assert [os.environ.get(name) for name in ("ABOVE", "HERE", "BOTH", "PROJECT")] == [None, "1", "here", "1"]
        assert os.environ["PATH"] == before
        origins = [set_in(name) for name in ("HERE", "BOTH", "PROJECT", "PATH")]
        assert origins == [str(here / ".env"), str(here / ".env"), str(project / ".env"), "the environment"]


def test_an_empty_value_counts_as_none_and_a_value_that_is_not_used_is_told_without_showing_it(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the environment and in a file; blanks are empty."""
    here, project = folders
    (here / ".env").write_text("GOOGLE_API_KEY=\nGEMINI_API_KEY=here\nBOTH=here\nINFER_DATASET=' '\n")
    (project / ".env").write_text("GOOGLE_API_KEY=project\nGEMINI_API_KEY=project\nBOTH=project")
    for name in ("GOOGLE_API_KEY", "BOTH"):
        monkeypatch.setenv(name, "  ")
    for _ in range(2):
        load_environment()
        assert [os.environ[name] for name in ("GOOGLE_API_KEY", "BOTH", "GEMINI_API_KEY")] == [
            "project",
            "here",
            "here",
        ]
        assert "INFER_DATASET" not in os.environ
        assert unused() == [f"GEMINI_API_KEY is taken from {here / '.env'}; {project / '.env'} has another value"]
        used = f"GOOGLE_API_KEY from {project / '.env'} is used, and not GEMINI_API_KEY from {here / '.env'}"
        assert check_credentials() == [used]
    monkeypatch.setenv("GOOGLE_API_KEY", "other")
    assert f"GOOGLE_API_KEY is taken from the environment; {project / '.env'} has another value" in unused()


def test_a_demo_puts_back_what_it_changed_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a library or another thread sets meanwhile stays."""
    monkeypatch.setenv("GOOGLE_API_KEY", "mine")
    monkeypatch.setenv("GEMINI_API_KEY", "too")
    monkeypatch.delenv("GOOGLE_GEMINI_BASE_URL", raising=False)
    monkeypatch.setenv("ABOVE", "before")
    with demo():
        assert os.environ["GOOGLE_GEMINI_BASE_URL"].startswith("http://127.0.0.1:")
        assert (os.environ["GOOGLE_API_KEY"], os.environ.get("GEMINI_API_KEY")) == ("demo", None)
        os.environ["ABOVE"] = "meanwhile"
    assert [os.environ.get(n) for n in ("GOOGLE_API_KEY", "GEMINI_API_KEY", "ABOVE")] == ["mine", "too", "meanwhile"]
    assert "GOOGLE_GEMINI_BASE_URL" not in os.environ


@as_root
@pytest.mark.parametrize("place", ["here", "project", "link"])
def test_somebody_elses_env_is_refused_before_anything_starts(
    folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str], place: str
) -> None:
    """It could name an endpoint of its own; a link of theirs to a file of ours is theirs."""
    here, project = folders
    path = (project if place == "project" else here) / ".env"
    if place == "link":
        (here.parent / "ours").write_text("GOOGLE_API_KEY=k")
        path.symlink_to(here.parent / "ours")
    else:
        path.write_text("GOOGLE_API_KEY=k\nGOOGLE_GEMINI_BASE_URL=http://elsewhere.example")
    os.chown(path, 4711, -1, follow_symlinks=False)
    assert main(lambda: None, ["--dataset", "d.jsonl"]) == ExitCode.BAD_INPUT
    said = capsys.readouterr().err
    assert said.startswith(f"PermissionError: {path} belongs to another user (uid 4711)")
    assert said.count("\n") == 1
    assert "GOOGLE_API_KEY" not in os.environ


def test_an_env_that_is_no_text_is_one_line_and_a_folder_of_that_name_is_none(folders: tuple[Path, Path]) -> None:
    """Virtual environments are called so too."""
    here, project = folders
    (project / ".env").mkdir()
    load_environment()
    (here / ".env").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="cannot be read"):
        load_environment()


@pytest.mark.parametrize(
    ("variables", "endpoint"),
    [
        ({}, None),
        ({"GOOGLE_GEMINI_BASE_URL": "https://generativelanguage.googleapis.com"}, None),
        (
            {"GOOGLE_GEMINI_BASE_URL": "http://generativelanguage.googleapis.com"},
            "http://generativelanguage.googleapis.com",
        ),
        ({"GOOGLE_GEMINI_BASE_URL": "https://u:secret@gate.example:8/v?key=secret"}, "https://gate.example:8/v"),
        ({"GOOGLE_GEMINI_BASE_URL": "https://googleapis.com.evil.example"}, "https://googleapis.com.evil.example"),
        ({"GOOGLE_GEMINI_BASE_URL": "https://evilgoogleapis.com"}, "https://evilgoogleapis.com"),
        ({"GOOGLE_GEMINI_BASE_URL": "https://x.googleapis.com@evil.example"}, "https://evil.example"),
        ({"GOOGLE_VERTEX_BASE_URL": "https://evil.example"}, None),
        ({"GOOGLE_GENAI_USE_VERTEXAI": "true", "GOOGLE_VERTEX_BASE_URL": "https://evil.example"}, None),
        (
            {"GOOGLE_GENAI_USE_VERTEXAI": "true", "GOOGLE_GEMINI_BASE_URL": "https://evil.example"},
            "https://evil.example",
        ),
        (
            {"GOOGLE_GENAI_USE_VERTEXAI": "1", "GOOGLE_CLOUD_PROJECT": "p", "GOOGLE_CLOUD_LOCATION": "evil.example/"},
            "https://evil.example/-aiplatform.googleapis.com/",
        ),
    ],
)
def test_an_endpoint_that_is_not_googles_is_known_with_the_variable_that_sets_it(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], endpoint: str | None
) -> None:
    """By every way the SDK has; neither a password nor a key in the URL is shown."""
    for name, value in ({"GOOGLE_API_KEY": "k"} | variables).items():
        monkeypatch.setenv(name, value)
    if "GOOGLE_CLOUD_PROJECT" in variables:
        monkeypatch.delenv("GOOGLE_API_KEY")
    assert other_endpoint() == (Endpoint(endpoint, list(variables)[-1]) if endpoint else None)


def test_an_environment_that_the_sdk_cannot_use_is_one_line(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is sent, not as a traceback in the middle."""
    monkeypatch.setenv("GOOGLE_API_KEY", "")
    with pytest.raises(InputError, match="how to reach the API: No API key"):
        other_endpoint()
