"""What Terraform's AWS provider calls for each resource, as actions of IAM: recorded, to be held against the roles.

Recorded while tests apply, change and destroy things on the local AWS, in a folder of one's own:

    EMBEDSTACK_PROVIDER_LOGS=FOLDER python -m pytest tests/integration/deployment tests/integration/pipeline
    python -m tests.terraform.provider_calls FOLDER

The data sources of packages and images are in no such test: plan a model.artifact and a model.image in a VPC beside.
"""

import json
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

__all__ = ["Calls", "recorded_calls"]

#: By resource type (``data.<type>`` of data sources) the actions that a plan needs, and those that an apply adds.
Calls = dict[str, dict[str, list[str]]]

_FILE = Path(__file__).with_name("provider_calls.json")
#: IAM's prefix by the name that AWS's SDK for Go gives a service.
_PREFIXES = {
    "Application Auto Scaling": "application-autoscaling",
    "CloudWatch Logs": "logs",
    "Cost Explorer": "ce",
}
#: Where IAM names what an operation needs otherwise than the operation (service authorization reference).
_RENAMED = {
    "s3:DeleteBucketEncryption": "s3:PutEncryptionConfiguration",
    "s3:DeleteBucketLifecycle": "s3:PutLifecycleConfiguration",
    "s3:DeleteObjects": "s3:DeleteObject",
    "s3:DeletePublicAccessBlock": "s3:PutBucketPublicAccessBlock",
    "s3:GetBucketAccelerateConfiguration": "s3:GetAccelerateConfiguration",
    "s3:GetBucketCors": "s3:GetBucketCORS",
    "s3:GetBucketEncryption": "s3:GetEncryptionConfiguration",
    "s3:GetBucketLifecycleConfiguration": "s3:GetLifecycleConfiguration",
    "s3:GetBucketNotificationConfiguration": "s3:GetBucketNotification",
    "s3:GetBucketReplication": "s3:GetReplicationConfiguration",
    "s3:GetObjectLockConfiguration": "s3:GetBucketObjectLockConfiguration",
    "s3:GetPublicAccessBlock": "s3:GetBucketPublicAccessBlock",
    "s3:HeadBucket": "s3:ListBucket",
    "s3:HeadObject": "s3:GetObject",
    "s3:ListObjectVersions": "s3:ListBucketVersions",
    "s3:ListObjectsV2": "s3:ListBucket",
    "s3:PutBucketEncryption": "s3:PutEncryptionConfiguration",
    "s3:PutBucketLifecycleConfiguration": "s3:PutLifecycleConfiguration",
    "s3:PutBucketNotificationConfiguration": "s3:PutBucketNotification",
    "s3:PutPublicAccessBlock": "s3:PutBucketPublicAccessBlock",
}
_OF_A_PLAN = frozenset({"ConfigureProvider", "PlanResourceChange", "ReadDataSource", "ReadResource"})


def recorded_calls() -> Calls:
    """The calls as they were last recorded."""
    calls: Calls = json.loads(_FILE.read_text())
    return calls


def _action(service: str, operation: str) -> str:
    """The action that IAM asks for where an operation is called."""
    prefix = _PREFIXES.get(service, service.lower())
    if prefix == "budgets" and "Tag" not in operation:
        # Two actions stand for all operations on budgets.
        operation = "ViewBudget" if operation.startswith("Describe") else "ModifyBudget"
    action = f"{prefix}:{operation}"
    return _RENAMED.get(action, action)


def _calls(lines: Iterable[str]) -> Iterator[tuple[str, str, str]]:
    """What a provider's log tells of each request: for what it was, in which of Terraform's steps, and its action."""
    for line in lines:
        if '"HTTP Request Sent"' in line:
            said = json.loads(line)
            data_source = said.get("tf_data_source_type")
            kind = f"data.{data_source}" if data_source else said.get("tf_resource_type", "provider")
            yield kind, said["tf_rpc"], _action(said["rpc.service"], said["rpc.method"])


def main(folder: Path) -> None:
    """Record what the logs in a folder tell."""
    found: dict[str, dict[str, set[str]]] = defaultdict(lambda: {"plan": set(), "apply": set()})
    for file in folder.glob("*.log"):
        with file.open(encoding="utf-8", errors="replace") as lines:
            for kind, step, action in _calls(lines):
                found[kind]["plan" if step in _OF_A_PLAN else "apply"].add(action)
    calls = {
        kind: {"plan": sorted(steps["plan"]), "apply": sorted(steps["apply"] - steps["plan"])}
        for kind, steps in sorted(found.items())
    }
    _FILE.write_text(f"{json.dumps(calls, indent=2)}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
