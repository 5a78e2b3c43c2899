"""Changes that could take an endpoint away from its callers: another key, another kind, another owner."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from conftest import MINILM
from embedstack_ops.terraform.driver import TerraformFailed, TerraformRoot
from tests.integration.conftest import Stack, running_stack
from tests.support.localaws.harness import Load, wait_until

ENDPOINT = "alex-embedding-endpoint"
STEADY = "alex-steady-endpoint"
SERVERLESS = f'model = {{ hub_id = "{MINILM}" }}, serverless = {{}}'
REALTIME = f'model = {{ hub_id = "{MINILM}" }}, realtime = {{ instance_type = "ml.c7i.xlarge" }}'
#: What the Hugging Face container serves without a handler, and returns one vector per token.
BY_HAND = {
    "Image": "763104351884.dkr.ecr.us-east-1.amazonaws.com/huggingface-pytorch-inference:"
    "2.6.0-transformers4.51.3-cpu-py312-ubuntu22.04",
    "Environment": {"HF_MODEL_ID": MINILM, "HF_TASK": "feature-extraction"},
}
CALLER = """
provider "aws" {
  region = "us-east-1"
}

module "stack" {
  source   = "../terraform"
  for_each = toset([%s])

  name      = each.key
  endpoints = { embedding = { %s } }
}

output "names" {
  value = { for name, stack in module.stack : name => stack.endpoint_names }
}
"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running_stack(tmp_path_factory.mktemp("stack")) as stack:
        yield stack


def _variables(**endpoints: str) -> str:
    entries = "\n".join(f"  {key} = {{ {settings} }}" for key, settings in endpoints.items())
    return f'name = "alex"\nendpoints = {{\n{entries}\n}}\n'


@contextmanager
def _callers(stack: Stack) -> Iterator[tuple[Load, dict[str, str]]]:
    """Requests of two callers to the endpoint that the settings name."""
    runtime, settings = stack.client("sagemaker-runtime"), {"endpoint": ENDPOINT}

    def invoke() -> None:
        body = json.dumps({"inputs": "under load"})
        runtime.invoke_endpoint(EndpointName=settings["endpoint"], Body=body, ContentType="application/json")

    with Load(invoke, threads=2, pause=0.05) as requests:
        requests.wait_for(2)
        yield requests, settings


def _config(stack: Stack) -> str:
    described = stack.client("sagemaker").describe_endpoint(EndpointName=ENDPOINT)
    assert described["EndpointStatus"] == "InService"
    return str(described["EndpointConfigName"])


def _make_by_hand(stack: Stack) -> None:
    """The endpoint of a tutorial, without Terraform."""
    sagemaker = stack.client("sagemaker")
    role = "arn:aws:iam::123456789012:role/by-hand"
    sagemaker.create_model(ModelName="by-hand", ExecutionRoleArn=role, PrimaryContainer=BY_HAND)
    variant = {
        "VariantName": "AllTraffic",
        "ModelName": "by-hand",
        "ServerlessConfig": {"MemorySizeInMB": 3072, "MaxConcurrency": 10},
    }
    sagemaker.create_endpoint_config(EndpointConfigName="by-hand", ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName=ENDPOINT, EndpointConfigName="by-hand")
    wait_until(lambda: sagemaker.describe_endpoint(EndpointName=ENDPOINT)["EndpointStatus"] == "InService", 60)


@pytest.fixture(scope="module")
def moved(stack: Stack) -> Iterator[tuple[TerraformRoot, Load]]:
    """An endpoint made by hand, moved to Terraform, to another key, and to another kind, all under load."""
    _make_by_hand(stack)
    renamed = f'renamed_from = "embedding", {SERVERLESS}'
    with _callers(stack) as (requests, settings):
        root = stack.root(_variables(embedding=SERVERLESS))
        root.init()
        imported = root.import_existing(root.plan(stack.plan_file))
        assert 'module.serverless_endpoint["embedding"].aws_sagemaker_endpoint.embeddings' in imported
        plan = root.plan(stack.plan_file)
        assert root.recreated_endpoints(plan) == []
        root.apply(plan, show_progress=False)
        before = _config(stack)
        assert before != "by-hand"

        root = stack.apply(_variables(search=renamed))
        assert root.outputs()["endpoint_names"] == {"search": ENDPOINT}
        assert _config(stack) == before

        # Another kind is refused under the same name, and the refusal names the steps that follow.
        root = stack.root(_variables(search=f'renamed_from = "embedding", {REALTIME}'))
        with pytest.raises(TerraformFailed, match=f"{ENDPOINT} was created as serverless"):
            root.plan(stack.plan_file)
        root = stack.apply(_variables(search=renamed, steady=REALTIME))
        settings["endpoint"] = root.outputs()["endpoint_names"]["steady"]
        requests.wait_for(4)
        root = stack.apply(_variables(steady=REALTIME))
        requests.wait_for(2)
    yield root, requests
    root.destroy()
    # The provider does not wait for it.
    wait_until(lambda: not stack.client("sagemaker").list_endpoints()["Endpoints"], 60)


def test_moves_to_terraform_and_another_key_and_kind_fail_no_request(
    stack: Stack, moved: tuple[TerraformRoot, Load]
) -> None:
    root, requests = moved
    assert requests.errors == []
    assert requests.responses > 20
    assert root.outputs()["endpoint_names"] == {"steady": STEADY}
    assert stack.is_up_to_date(root)


def test_replace_waits_until_the_endpoint_is_deleted(stack: Stack, moved: tuple[TerraformRoot, Load]) -> None:
    sagemaker, (root, _) = stack.client("sagemaker"), moved
    created = sagemaker.describe_endpoint(EndpointName=STEADY)["CreationTime"]
    done = subprocess.run(
        [
            sys.executable, "-m", "embedstack_ops", "deploy", "apply", "--yes", "--var-file", str(root.var_file),
            "--replace", 'module.realtime_endpoint["steady"].aws_sagemaker_endpoint.embeddings',
        ],
        cwd=stack.folder.parent, capture_output=True, text=True, check=False, timeout=180,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"Requests to {STEADY} fail until each is deleted and created again." in done.stdout
    assert sagemaker.describe_endpoint(EndpointName=STEADY)["CreationTime"] > created


def test_root_is_a_child_module_with_for_each(stack: Stack) -> None:
    folder = stack.folder.parent / "caller"
    folder.mkdir()
    for name in ("versions.tf", ".terraform.lock.hcl"):
        shutil.copy(stack.folder / name, folder)
    root = TerraformRoot(folder)

    def apply(*names: str) -> dict[str, Any]:
        (folder / "main.tf").write_text(CALLER % (", ".join(f'"{name}"' for name in names), SERVERLESS))
        root.init()
        root.apply(root.plan(folder / "plan"), show_progress=False)
        outputs: dict[str, Any] = root.outputs()["names"]
        return outputs

    sagemaker, names = stack.client("sagemaker"), ("carl", "dora")
    both = apply(*names)
    assert both == {name: {"embedding": f"{name}-embedding-endpoint"} for name in names}
    assert apply("carl") == {"carl": both["carl"]}
    endpoint = sagemaker.describe_endpoint(EndpointName="carl-embedding-endpoint")
    tags = sagemaker.list_tags(ResourceArn=endpoint["EndpointArn"])["Tags"]
    assert {"Key": "Project", "Value": "carl"} in tags

    # Without the block, nothing of the module is left to configure a provider.
    (folder / "main.tf").write_text('provider "aws" {\n  region = "us-east-1"\n}\n')
    root.init()
    root.apply(root.plan(folder / "plan"), show_progress=False)
    assert root.resources() == []
