"""Stacks of CloudFormation, created, changed and deleted to the end."""

import json
from typing import Any

from tests.support.localaws.harness import Aws, wait_until


class Stacks:
    def __init__(self, aws: Aws) -> None:
        self.aws = aws
        self.client = aws.client("cloudformation")

    def create(self, name: str, template: dict[str, Any], **options: Any) -> Any:
        self.client.create_stack(StackName=name, TemplateBody=json.dumps(template), **options)
        return self.settled(name)

    def update(self, name: str, template: dict[str, Any], **options: Any) -> Any:
        self.client.update_stack(StackName=name, TemplateBody=json.dumps(template), **options)
        return self.settled(name)

    def delete(self, name: str) -> Any:
        stack_id = self.describe(name)["StackId"]
        self.client.delete_stack(StackName=name)
        return self.settled(stack_id)

    def describe(self, name: str) -> Any:
        return self.client.describe_stacks(StackName=name)["Stacks"][0]

    def settled(self, name: str) -> Any:
        wait_until(lambda: not self.describe(name)["StackStatus"].endswith("_IN_PROGRESS"))
        return self.describe(name)

    def events(self, name: str) -> list[tuple[str, str]]:
        """Logical ids and statuses, oldest first."""
        events = self.client.describe_stack_events(StackName=name)["StackEvents"]
        return [(event["LogicalResourceId"], event["ResourceStatus"]) for event in reversed(events)]

    def reasons(self, name: str, status: str) -> str:
        events = self.client.describe_stack_events(StackName=name)["StackEvents"]
        return " ".join(event.get("ResourceStatusReason", "") for event in events if event["ResourceStatus"] == status)
