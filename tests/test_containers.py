"""What compose.yaml, the Dockerfile and .dockerignore name is there. `python -m tests.compose` runs it."""

import json
import re
import shlex
from typing import Any

import yaml
from prefect.settings.models.root import Settings

from deployments.bootstrap import POOL, _parser
from tests.compose import ROOT, compose, default_command, let_in, run_lines

SERVICES: dict[str, Any] = compose()["services"]
TEXTS = {name: (ROOT / name).read_text(encoding="utf-8") for name in ("compose.yaml", "Dockerfile", ".env.example")}


def test_every_setting_is_one_that_prefect_knows() -> None:
    known = set(re.findall(r"PREFECT_\w+", json.dumps(Settings.model_json_schema())))
    told = [name for service in SERVICES.values() for name in service.get("environment", {}) if "PREFECT" in name]
    assert len(told) > 5
    assert set(told) <= known


def test_services_wait_for_services_that_can_be_healthy_and_speak_to_services() -> None:
    for service in SERVICES.values():
        for other, waits in service.get("depends_on", {}).items():
            assert ("healthcheck" in SERVICES[other]) == (waits["condition"] == "service_healthy")
        hosts = re.findall(r"(?<=[/@])(\w+):\d+", str(service))
        assert set(hosts) <= {"0", *SERVICES}


def test_the_server_is_prepared_by_commands_that_exist() -> None:
    """The bucket is a folder of the storage; the pool is the one that the worker asks."""
    bootstrap, deploy = SERVICES["setup"]["command"][-1].split("&&")
    asked = _parser().parse_args(shlex.split(bootstrap)[2:])
    assert (ROOT / shlex.split(bootstrap)[1]).is_file()
    assert (asked.pool, asked.storage_settings) == (POOL, {"endpoint_url": "http://storage:9000"})
    assert SERVICES["storage"]["volumes"] == [f"results:/data/{asked.storage.split('/')[2]}"]
    assert shlex.split(deploy) == ["prefect", "--no-prompt", "deploy", "--all"]
    assert default_command()[:5] == ["prefect", "worker", "start", "--pool", POOL]


def test_images_are_pinned_and_prefect_is_that_of_the_lock() -> None:
    images = re.findall(r"(?:FROM|image:) (\S*[/:]\S*)", TEXTS["Dockerfile"] + TEXTS["compose.yaml"])
    assert len(images) == 4
    assert re.search(r"uv==\d+\.\d+\.\d+$", TEXTS["Dockerfile"], re.MULTILINE)
    assert not [image for image in images if not re.search(r":v?\d+\.\d+", image)]
    [locked] = re.findall(r'^name = "prefect"\nversion = "(.*)"', (ROOT / "uv.lock").read_text(), re.MULTILINE)
    assert yaml.safe_load((ROOT / "prefect.yaml").read_text())["prefect-version"] == locked


def test_an_image_holds_the_program_and_no_secret_and_its_user_is_nobody_special() -> None:
    """What is let in is named; passwords come from .env, which names them all."""
    files = let_in()
    assert {"uv.lock", "prefect.yaml", "deployments/demo/test.jsonl", "flows/infer.py"} <= set(files)
    assert not [name for name in files if ".env" in name or name.startswith("tests/")]
    assert (ROOT / ".dockerignore").read_text().splitlines()[1] == "*"
    assert [line for line in run_lines() if line.startswith("uv ")][
        -1
    ] == "uv sync --locked --no-dev --no-cache --extra s3"
    assert re.findall("^USER (.*)", TEXTS["Dockerfile"], re.MULTILINE) == ["infer"]
    variables = set(re.findall(r"\$\{(\w+)", TEXTS["compose.yaml"]))
    assert variables <= set(re.findall(r"^#? ?(\w+)=", TEXTS[".env.example"], re.MULTILINE))
    secrets = re.findall(r"\w*(?:PASSWORD|SECRET)\w*: (\S+)", TEXTS["compose.yaml"])
    assert secrets
    assert not [text for text in secrets if text[0] != "$" and text != '""']
