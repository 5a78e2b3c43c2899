"""Every environment of terraform/environments: applied, changed in every input that can be updated, destroyed.

An apply is mostly Terraform starting its provider and waiting for the service, so one configuration holds all of them,
on a local AWS whose clock runs fast enough for a canary that bakes for five minutes.
"""

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from embedstack.settings.settings import load_settings
from embedstack_ops.terraform.driver import TerraformRoot
from embedstack_ops.validation import Check
from embedstack_ops.validation.post_apply_check import check_endpoint
from localaws.config import LocalAwsConfig
from tests.integration.conftest import REPOSITORY, Stack, running_stack
from tests.support.left_overs import left_overs
from tests.support.reference_models import ReferenceModel

ENVIRONMENTS = REPOSITORY / "terraform" / "environments"
pytestmark = pytest.mark.timeout(900)

#: What is changed in each environment: pairs of what its file says and what it says then, and what is added.
CHANGES: dict[str, tuple[dict[str, str], str]] = {
    "serverless-minilm": (
        {
            "memory_mb = 2048, max_concurrency = 10": "memory_mb = 4096, max_concurrency = 20",
            'MiniLM-L6-v2" }': 'MiniLM-L6-v2", environment = { LOG_LEVEL = "debug" } }\n    log_retention_days = 7',
        },
        """
        alarms        = { concurrency_utilization = 0.7, no_traffic_minutes = 60 }
        budget        = { limit_usd = 50, percentages = [90], anomaly_usd = 5 }
        dashboard     = true
        notifications = { emails = ["team@example.com"] }
        """,
    ),
    "serverless-e5-reranker": (
        {
            "memory_mb = 3072, max_concurrency = 10": "memory_mb = 2048, max_concurrency = 5",
            "BAAI/bge-reranker-base": "BAAI/bge-reranker-large",
            'multilingual-e5-small" }': ('multilingual-e5-small", max_tokens = 512, prompts = { query = "query: " } }'),
        },
        "alarms = {}",
    ),
    "realtime-bge-m3": (
        {
            "BAAI/bge-m3": "BAAI/bge-large-en-v1.5",
            "ml.g4dn.xlarge": "ml.g5.xlarge",
            "startup_timeout_s = 1200": "startup_timeout_s = 1500\n      instance_count    = 2",
            'strategy = "canary", percent = 10, bake_s = 300 }': (
                'strategy = "linear", percent = 50, bake_s = 60, rollback_by_alarms = false }'
            ),
            "min = 1\n": "min = 2\n",
            "max = 5\n": "max = 4\n",
            "requests_per_second = 20": "requests_per_second = 30",
            "cron(0 20 ": "cron(0 21 ",
            "cron(0 7 ": "cron(30 6 ",
            "min = 1, max = 5": "min = 2, max = 4",
            "Europe/Berlin": "Europe/Rome",
            "latency_p95_ms = 500": "latency_p95_ms = 400, gpu_memory_percent = 80",
            "limit_usd = 600": "limit_usd = 700, percentages = [50, 100]",
            "dashboard = true": "dashboard = false",
        },
        'notifications = { emails = ["team@example.com"] }',
    ),
    "scale-to-zero-bge-m3": (
        {
            "BAAI/bge-m3": "BAAI/bge-large-en-v1.5",
            'instance_type = "ml.g4dn.xlarge", min = 0, max = 5': 'instance_type = "ml.g5.xlarge", min = 1, max = 3',
            "requests_per_second = 20": "requests_per_second = 10",
            "limit_usd = 220": "limit_usd = 100",
        },
        "alarms = {}",
    ),
    "batch-async": (
        {
            "sentence-transformers/all-MiniLM-L6-v2": "BAAI/bge-large-en-v1.5",
            "ml.c7i.xlarge": "ml.c7i.2xlarge",
            "concurrency  = 4": "concurrency  = 2",
            "batch/failures": "batch/errors",
            "batch/requests": "batch/texts",
            "batch/answers": "batch/results",
            "min = 0, max = 4, tracking = { value = 5 }": "min = 1, max = 3, tracking = { value = 9 }",
        },
        "alarms = {}",
    ),
    "multi": (
        {
            "batch/answers": "batch/results",
            "max = 2, tracking": "max = 3, min = 1, tracking",
            "memory_mb = 2048, max_concurrency = 10": "memory_mb = 4096, max_concurrency = 5",
            "weight        = 9": 'weight        = 3\n      deployment    = { strategy = "all_at_once", bake_s = 60 }',
            "BAAI/bge-large-en-v1.5": "BAAI/bge-m3",
            'instance_type = "ml.g5.xlarge", weight = 1': 'instance_type = "ml.g6.xlarge", weight = 2',
            "max = 3, tracking = { requests_per_second = 20 }": "max = 4, tracking = { requests_per_second = 40 }",
            "alarms    = {}": "alarms    = { errors_per_minute = 5 }",
            "budget    = {}": "budget    = { limit_usd = 300 }",
        },
        "",
    ),
}


@dataclass
class Life:
    """What became of the environments.

    Attributes:
        settled: Whether the plan was empty after each apply.
        findings: What the look at the running endpoints found after each apply, by environment.
        endpoints: What SageMaker said of each endpoint after each apply, by name.
        left: Resources that were still in the state after the destroy.
    """

    settled: list[bool] = field(default_factory=list)
    findings: list[dict[str, list[Check]]] = field(default_factory=list)
    endpoints: list[dict[str, dict[str, Any]]] = field(default_factory=list)
    left: list[str] = field(default_factory=list)

    def rollback_alarms(self, endpoint: str) -> list[list[str]]:
        """The alarms that its deployments were watched by, after each apply."""
        configs = [described[endpoint]["LastDeploymentConfig"] for described in self.endpoints]
        return [[alarm["AlarmName"] for alarm in config["AutoRollbackConfiguration"]["Alarms"]] for config in configs]


def project(environment: str) -> str:
    return f"it-{environment}"


def variables(environment: str) -> str:
    """The file as it is, but for the project's name: all of them live in one account here."""
    text, renamed = re.subn(
        r'(?m)^(name +)= ".*"$', rf'\1= "{project(environment)}"', (ENVIRONMENTS / f"{environment}.tfvars").read_text()
    )
    assert renamed == 1
    return text


def changed(environment: str) -> str:
    text = variables(environment)
    replacements, added = CHANGES[environment]
    for old, new in replacements.items():
        assert old in text, f"{environment} no longer says {old}"
        text = text.replace(old, new)
    return f"{text}\n{added}\n"


def configuration(texts: dict[str, str]) -> str:
    """One root that calls the product's own for each environment: the syntax of variables is that of arguments."""
    modules = [f'module "{name}" {{\n  source = "./root"\n{text}\n}}' for name, text in texts.items()]
    outputs = [f'output "{name}" {{\n  value = module.{name}.endpoints\n}}' for name in texts]
    return "\n".join([*modules, *outputs])


@pytest.fixture(scope="module")
def life(stack: Stack) -> Life:
    """Apply, change, destroy."""
    folder, result = stack.folder.parent / "all", Life()
    shutil.copytree(stack.folder, folder / "root")
    for name in ("versions.tf", ".terraform.lock.hcl"):
        shutil.copy(stack.folder / name, folder)
    root, plan = TerraformRoot(folder), folder / "plan"
    for text_of in (variables, changed):
        (folder / "main.tf").write_text(configuration({environment: text_of(environment) for environment in CHANGES}))
        if not result.settled:
            root.init()
        root.apply(root.plan(plan), show_progress=False)
        result.settled.append(not root.plan(plan).has_changes)
        outputs = root.outputs()
        result.findings.append({name: looked_at(outputs[name]) for name in CHANGES})
        result.endpoints.append(described(stack))
    root.destroy()
    result.left = root.resources()
    return result


def looked_at(endpoints: dict[str, Any]) -> list[Check]:
    return [check for each in endpoints.values() for check in check_endpoint(each, load_settings())]


def described(stack: Stack) -> dict[str, dict[str, Any]]:
    sagemaker = stack.client("sagemaker")
    names = [endpoint["EndpointName"] for endpoint in sagemaker.list_endpoints()["Endpoints"]]
    return {name: sagemaker.describe_endpoint(EndpointName=name) for name in names}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("environments")
    models = folder / "models"
    architectures = {
        "BAAI/bge-large-en-v1.5": "bert",
        "BAAI/bge-m3": "bge-m3",
        "BAAI/bge-reranker-base": "cross-xlm-roberta",
        "BAAI/bge-reranker-large": "cross-xlm-roberta",
        "intfloat/multilingual-e5-small": "bert",
    }
    for hub_id, architecture in architectures.items():
        ReferenceModel.load(architecture).write(models / hub_id)
    config = LocalAwsConfig(port=0, models_dir=models, clock_speed=60)
    with running_stack(folder, config) as stack:
        stack.client("s3").create_bucket(Bucket="alex-embeddings")
        yield stack


def test_every_environment_is_tried() -> None:
    """Those with pipelines or a large model are planned by tests/terraform; local is applied with its functions."""
    elsewhere = {"local", "pipeline-aurora", "pipeline-local", "realtime-qwen3"}
    assert {*CHANGES, *elsewhere} == {path.stem for path in ENVIRONMENTS.glob("*.tfvars")}


def test_a_second_plan_is_empty(life: Life) -> None:
    assert life.settled == [True, True]


@pytest.mark.parametrize("environment", CHANGES)
def test_deployed_endpoint_equals_the_configuration(life: Life, environment: str) -> None:
    for findings in life.findings:
        assert findings[environment]
        assert [check for check in findings[environment] if check.status == "failed"] == []


def test_no_change_replaces_an_endpoint(life: Life) -> None:
    """Each keeps its name, so that it would be gone until the new one is up."""
    before, after = ({name: each["CreationTime"] for name, each in endpoints.items()} for endpoints in life.endpoints)
    assert len(before) == 9
    assert after == before


def test_rollback_alarms_come_and_go(life: Life) -> None:
    """Where the provider would replace an endpoint, were there none."""
    on, off = life.rollback_alarms("it-realtime-bge-m3-embedding-endpoint")
    assert "it-realtime-bge-m3-embedding-errors" in on
    assert off == ["it-realtime-bge-m3-embedding-endpoint-no-rollback"]
    off, on = life.rollback_alarms("alex-staging-search")
    assert off == ["alex-staging-search-no-rollback"]
    assert {"it-multi-search-errors", "it-multi-search-candidate-errors"} <= set(on)


def test_destroy_leaves_nothing(stack: Stack, life: Life) -> None:
    assert life.left == []
    assert left_overs(stack, "it-") == []
