"""The log of the local AWS contains no secrets of requests."""

import contextlib
import logging
import socket
from pathlib import Path
from typing import Any

import boto3
import pytest
import urllib3
from botocore.exceptions import ClientError

from localaws import LocalAwsConfig
from localaws.core.log_format import configure_log
from localaws.process import daemon
from tests.support.localaws.harness import signed_headers

SECRET = "s3cr3t-v4lue"  # noqa: S105 - what is looked for


def test_log_contains_no_secret_of_a_request(tmp_path: Path) -> None:
    running = daemon.start(LocalAwsConfig(port=0), tmp_path)
    try:
        session = boto3.Session(SECRET, SECRET, SECRET, "us-east-1")
        s3 = session.client("s3", endpoint_url=running.url)
        lambda_: Any = session.client("lambda", endpoint_url=running.url)
        s3.create_bucket(Bucket="logged")
        presigned = s3.generate_presigned_url("get_object", Params={"Bucket": "logged", "Key": SECRET})
        retry = {"amz-sdk-request": "attempt=2; max=3"}
        urllib3.request("GET", f"{running.url}/{SECRET}", headers={**signed_headers("s3"), **retry})
        # Found, refused, sent again, and of a path that begins with the query.
        for url in (
            presigned,
            presigned.replace("X-Amz-Expires", "X"),
            f"{running.url}/?{presigned.partition('?')[2]}",
        ):
            urllib3.request("GET", url, headers=retry)
        urllib3.request("GET", running.url, headers={"Authorization": f"Basic {SECRET}", **retry})
        with contextlib.suppress(ClientError):
            environment = {"Variables": {"PASSWORD": SECRET}}
            lambda_.update_function_configuration(FunctionName="absent", Environment=environment)
        # moto reads this number without a check: the defect's message quotes it.
        broken = urllib3.request("GET", f"{running.url}/logged?max-keys={SECRET}", headers=signed_headers("s3"))
        assert broken.status == 500
        for request in (
            f"GET /{SECRET} HTTP/1.1\r\nHost: x\r\n",
            f"{SECRET}\r\n\r\n",
            f"GET / HTTP/1.1\r\n{SECRET}\r\n\r\n",
        ):
            with socket.create_connection(("127.0.0.1", running.port), timeout=10) as connection:
                connection.sendall(request.encode())
    finally:
        daemon.stop(tmp_path)
    log = running.log_file.read_text()
    assert "s3 GET: attempt=2; max=3, status" in log
    assert "builtins.ValueError" in log
    assert SECRET not in log


def test_log_names_exceptions_without_their_messages(capsys: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers[:] = []
    try:
        configure_log()
        try:
            _fail()
        except ValueError:
            logging.getLogger("localaws").exception("working failed")
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
    printed = capsys.readouterr().err
    assert "working failed" in printed
    assert "builtins.KeyError" in printed
    assert "builtins.ValueError" in printed
    assert Path(__file__).name in printed
    assert SECRET not in printed


def _fail() -> None:
    try:
        int(SECRET)
    except ValueError:
        raise ValueError(SECRET) from KeyError(SECRET)
