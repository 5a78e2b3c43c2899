"""Which AWS the commands act on: with a local AWS that runs, that has crashed, and with none."""

import http.client
import json
import os
import pty
import shutil
import signal
import socket
import socketserver
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from localaws import LocalAwsConfig, LocalAwsError
from localaws.process import daemon
from localaws.process.identity import ProcessIdentity
from tests.integration.conftest import REPOSITORY

# A root that needs the provider, and so its credentials and addresses, and nothing else.
ROOT = """
provider "aws" {}
data "aws_caller_identity" "current" {}
output "account" { value = data.aws_caller_identity.current.account_id }
"""
ACCOUNT_KEYS = {"AWS_ACCESS_KEY_ID": "AKIAREALACCOUNT00000", "AWS_SECRET_ACCESS_KEY": "real", "AWS_REGION": "us-east-1"}
CONFIG = """
[default]
region = eu-west-1
ignore_configured_endpoint_urls = true
services = elsewhere
[profile real]
aws_access_key_id = AKIAREALACCOUNT00000
aws_secret_access_key = real
endpoint_url = {url}
services = elsewhere
[services elsewhere]
s3 =
  endpoint_url = {url}
sts =
  endpoint_url = {url}
"""


@dataclass
class Internet:
    """A proxy in front of everything that is not on this machine; it writes down who is asked for, and hangs up."""

    url: str
    asked: list[str]

    @property
    def aws(self) -> list[str]:
        """Requests for AWS."""
        return [line for line in self.asked if "terraform.io" not in line and "hashicorp.com" not in line]


@pytest.fixture
def internet():
    asked: list[str] = []

    class Handler(socketserver.StreamRequestHandler):
        def handle(self):
            with suppress(OSError):
                # Programs of other tests look for free ports: a connection without a request asks for nothing.
                if request := self.rfile.readline().decode(errors="replace").strip():
                    asked.append(request)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield Internet(f"http://127.0.0.1:{server.server_address[1]}", asked)
        server.shutdown()


@pytest.fixture
def checkout(tmp_path):
    """A checkout of what the commands need, whose virtual environment is that of the tests."""
    folder = tmp_path / "a folder with é"
    folder.mkdir()
    for name in ("Makefile", "vectorize_me.json", "pyproject.toml"):
        shutil.copy(REPOSITORY / name, folder)
    (folder / "localaws").mkdir()
    shutil.copy(REPOSITORY / "localaws" / "pyproject.toml", folder / "localaws")
    for name in ("locks", "scripts", "lambda"):
        shutil.copytree(REPOSITORY / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    terraform = folder / "terraform"
    (terraform / "environments").mkdir(parents=True)
    (terraform / "environments" / "local.tfvars").touch()
    (terraform / "main.tf").write_text(ROOT)
    for name in ("versions.tf", ".terraform.lock.hcl"):
        shutil.copy(REPOSITORY / "terraform" / name, terraform)
    python = folder / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f"#!/bin/sh\nexec '{sys.executable}' \"$@\"\n")
    python.chmod(0o755)
    (folder / ".venv-uv").mkdir()
    for marker in (".venv-uv/.installed", ".venv/.installed"):
        (folder / marker).touch()
    return folder


@pytest.fixture
def run(checkout, internet):
    """Runs a command there, in the environment of somebody who works with an account behind a proxy."""

    def run(*command, **variables):
        return subprocess.run(
            [str(part) for part in command],
            cwd=checkout,
            env=_environment(checkout, internet, variables),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    return run


def _environment(checkout, internet, variables):
    ours = ("AWS_", "TF_", "LOCALAWS_", "SAGEMAKER_", "TARGET", "EMBED", "VECTOR_", "DATABASE_")
    kept = {name: value for name, value in os.environ.items() if not name.upper().startswith((*ours, "NO_PROXY"))}
    proxies = {
        name: internet.url for upper in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY") for name in (upper, upper.lower())
    }
    return {**kept, **proxies, **ACCOUNT_KEYS, "HOME": str(checkout), "COLUMNS": "200", **variables}


@pytest.fixture
def running(checkout):
    """A local AWS of the checkout."""
    running = daemon.start(LocalAwsConfig(port=0), checkout / ".local", ends_with_caller=True)
    yield running
    with suppress(LocalAwsError):
        daemon.stop(checkout / ".local")


@pytest.fixture
def crashed(checkout, running):
    """A local AWS that was killed and could clear nothing away."""
    os.kill(running.pid, signal.SIGKILL)
    while ProcessIdentity.of(running.pid):
        pass
    assert (checkout / ".local" / "localaws.json").exists()


COMMANDS = [
    ("ingest", "Makefile"),
    ("search", "text"),
    ("redrive",),
    ("reindex",),
    ("collections", "list"),
]


@pytest.mark.usefixtures("crashed")
def test_commands_do_not_reach_an_account_after_a_crash(run, internet):
    makes = ["plan", "apply", "verify", "import", "destroy", "invoke", "search", "test-endpoint"]
    commands: list[tuple[str, ...]] = [("make", ".SHELLFLAGS=-c", target, "YES=1") for target in makes]
    commands += [(".venv/bin/python", "-m", "embedstack_ops", *command) for command in COMMANDS]
    for command in commands:
        done = run(*command)
        assert done.returncode != 0, command
        assert "was started but does not respond" in done.stderr, (command, done.stderr)
        assert "make up" in done.stderr
        assert "TARGET=aws" in done.stderr
        assert "Traceback" not in done.stderr
    assert internet.asked == []


def test_target_aws_reaches_the_account(run, internet):
    done = run("make", "verify", "TARGET=aws")
    assert "CONNECT sts.us-east-1.amazonaws.com:443 HTTP/1.1" in internet.asked or internet.aws, done.stderr
    assert "Target: AWS account unknown in us-east-1" in done.stderr


def test_local_target_sends_no_request_to_an_account(run, checkout, running, internet):
    (checkout / ".aws").mkdir()
    (checkout / ".aws" / "config").write_text(CONFIG.format(url=internet.url))
    hostile = {
        "AWS_PROFILE": "real",
        "AWS_SESSION_TOKEN": "real",
        "AWS_ENDPOINT_URL_STS": internet.url,
        "AWS_ENDPOINT_URL_SAGEMAKER": internet.url,
        "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true",
        "TF_CLI_ARGS_plan": "-var=none=1",
        "TF_WORKSPACE": "default",
    }
    planned = run("make", "plan", **hostile)
    assert planned.returncode == 0, planned.stderr
    assert f"Target: local AWS at {running.url}" in planned.stderr
    assert '+ account = "123456789012"' in planned.stdout
    asked = run(".venv/bin/python", "-m", "embedstack_ops", "invoke", "text", "--endpoint", "nope", **hostile)
    assert "Endpoint 'nope' is not in service in region us-east-1" in asked.stderr
    script = 'eval "$(make env)" && aws sts get-caller-identity && aws s3 ls && aws sagemaker list-endpoints'
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = run("bash", "-c", script, PATH=path, **hostile)
    assert done.returncode == 0, done.stderr
    assert "123456789012" in done.stdout
    assert internet.aws == []


def test_destroy_needs_confirmation_in_an_account(run, running):
    elsewhere = {"AWS_ENDPOINT_URL": running.url, "TARGET": "aws"}
    done = run("make", "destroy", **elsewhere)
    assert done.returncode != 0
    assert f"at {running.url}, which is this machine and not AWS" in done.stderr
    assert "Nothing is changed in AWS account 123456789012" in done.stderr
    assert "--yes" in done.stderr


def test_destroy_is_aborted_after_no(checkout, internet, running):
    terminal, theirs = pty.openpty()
    environment = _environment(checkout, internet, {"AWS_ENDPOINT_URL": running.url, "TARGET": "aws"})
    with subprocess.Popen(
        ["make", "destroy"], cwd=checkout, env=environment, stdin=theirs, stdout=theirs, stderr=theirs
    ) as process:
        os.close(theirs)
        said = b""
        with suppress(OSError):  # EIO once nobody has the terminal open
            while chunk := os.read(terminal, 4096):
                said += chunk
                if said.rstrip().endswith(b"[y/N]:"):
                    os.write(terminal, b"n\n")
    os.close(terminal)
    assert process.returncode != 0
    assert b"Destroy nothing (the state is empty)? (AWS account 123456789012) [y/N]" in said
    assert b"Aborted" in said


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"TARGET": "local"}, "TARGET is local, but no local AWS is running. Start it: make up"),
        ({"TARGET": "elsewhere"}, "'elsewhere' is not one of 'local', 'aws'"),
        ({"TARGET": "aws", "TF_WORKSPACE": "local"}, "TF_WORKSPACE is local"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "Nothing responds at AWS_ENDPOINT_URL (http://127.0.0.1:9)"),
        ({"AWS_ENDPOINT_URL": "127.0.0.1:4580"}, "AWS_ENDPOINT_URL: Write an address such as http://127.0.0.1:4580"),
        ({"AWS_REGION": "us_east_1"}, "AWS_REGION: "),
    ],
)
def test_target_that_cannot_be_is_refused(run, variables, message):
    done = run(".venv/bin/python", "-m", "embedstack_ops", "deploy", "destroy", "--yes", **variables)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_target_rejects_credentials_of_another_account(run, running):
    (elsewhere := {"AWS_ENDPOINT_URL": running.url, "TARGET": "aws"})["AWS_ACCOUNT_ID"] = "999999999999"
    done = run(".venv/bin/python", "-m", "embedstack_ops", "deploy", "destroy", "--yes", **elsewhere)
    assert done.returncode == 2
    assert "AWS_ACCOUNT_ID is 999999999999, but the credentials belong to account 123456789012" in done.stderr


def test_local_aws_rejects_a_remote_backend(run, checkout, running):
    (checkout / "terraform" / "backend.tf").write_text('terraform {\n  backend "s3" {\n    bucket = "ours"\n  }\n}\n')
    done = run("make", "destroy")
    assert done.returncode != 0
    assert "stores its state in the backend s3" in done.stderr


def test_clean_stops_the_local_aws_without_python(run, checkout, running):
    (checkout / ".venv" / "bin" / "python").write_text("#!/bin/sh\nexit 1\n")
    done = run("make", "clean")
    assert done.returncode == 0, done.stderr
    assert f"Stopped the local AWS, process {running.pid}." in done.stdout
    assert ProcessIdentity.of(running.pid) is None
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", running.port)) != 0
    assert run("make", "clean").returncode == 0


def test_wrong_python_is_reported_in_one_line(checkout, tmp_path):
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "bare"], check=True)
    for script in ("up.py", "pipeline.py", "invoke.py", "test_endpoint.py"):
        done = subprocess.run(
            [tmp_path / "bare" / "bin" / "python", f"scripts/{script}"],
            cwd=checkout,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 2
        assert done.stderr.count("\n") == 1
        assert "lacks packages that this command needs (click, rich, embedstack)" in done.stderr
        assert f"Use .venv/bin/python scripts/{script} instead." in done.stderr


def test_local_aws_ends_with_the_process_that_started_it(tmp_path):
    program = (
        "import sys, time; from pathlib import Path; from localaws import LocalAwsConfig; "
        "from localaws.process import daemon; "
        "running = daemon.start(LocalAwsConfig(port=0), Path(sys.argv[1]), ends_with_caller=True); "
        "print(running.port, flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", program, tmp_path / "state"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as starter:
        try:
            assert starter.stdout is not None
            port = int(starter.stdout.readline())
            running = json.loads((tmp_path / "state" / "localaws.json").read_text())
            identity = ProcessIdentity(running["pid"], running["started"])
            connection = http.client.HTTPConnection("127.0.0.1", port)
            connection.connect()
            connection.close()
        finally:
            starter.kill()
    deadline = threading.Event()
    for _ in range(300):
        if not identity.alive:
            break
        deadline.wait(0.1)
    assert not identity.alive
    assert not (tmp_path / "state" / "localaws.json").exists()
