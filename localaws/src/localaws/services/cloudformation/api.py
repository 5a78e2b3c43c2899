"""The AWS CloudFormation API: operations on stacks return immediately and run in the background."""

import re
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from moto.cloudformation.exceptions import AlreadyExistsException, ValidationError
from moto.cloudformation.responses import CloudFormationResponse
from moto.cloudformation.utils import generate_stack_id
from moto.core.responses import ActionResult, EmptyResult

from localaws.services.cloudformation.records import BackgroundStack
from localaws.services.cloudformation.service_resources import ResourceFailed
from localaws.services.cloudformation.stack_operations import StackOperations

if TYPE_CHECKING:
    from collections.abc import Callable

    from localaws.services.cloudformation.records import Resources
    from localaws.services.s3vectors.api import S3VectorsApi
    from localaws.services.sagemaker.api import SageMaker
    from localaws.services.sagemaker.host import EndpointHost

__all__ = ["SIMPLIFICATIONS", "CloudFormation"]

#: The pattern that CloudFormation names in its error.
_STACK_NAME = r"[a-zA-Z][-a-zA-Z0-9]*|arn:[-a-zA-Z0-9:/._+]*"

SIMPLIFICATIONS = {
    "CreateChangeSet": "Not implemented.",
    "CreateStack": "SageMaker and S3 Vectors resources follow their services; other types are created by moto.",
    "CreateStackSet": "Not implemented.",
}


class CloudFormation(CloudFormationResponse):  # type: ignore[misc]  # moto is untyped
    """The actions that moto would run synchronously; the rest is moto's."""

    host: ClassVar["EndpointHost"]
    control_plane: "ClassVar[type[SageMaker]]"
    vectors: "ClassVar[type[S3VectorsApi]]"

    def create_stack(self) -> ActionResult:
        """CreateStack."""
        name, backend = self.params["StackName"], self.cloudformation_backend
        _check_stack_name(name)
        if any(stack.name == name for stack in backend.stacks.values()):
            raise AlreadyExistsException(f"Stack [{name}] already exists")
        stack = BackgroundStack(
            stack_id=generate_stack_id(name, self.region, self.current_account),
            name=name,
            template=self._template(),
            parameters=self._parameters({}),
            account_id=self.current_account,
            region_name=self.region,
            notification_arns=self.params.get("NotificationARNs") or [],
            tags=self._tags(),
            role_arn=self.params.get("RoleARN"),
            cross_stack_resources=backend.exports,
            enable_termination_protection=self.params.get("EnableTerminationProtection"),
            timeout_in_mins=self.params.get("TimeoutInMinutes"),
            stack_policy_body=self.params.get("StackPolicyBody"),
        )
        _check(stack.resource_map)
        on_failure = self.params.get("OnFailure") or (
            "DO_NOTHING" if self.params.get("DisableRollback") else "ROLLBACK"
        )
        stack.disable_rollback = on_failure == "DO_NOTHING"
        backend.stacks[stack.stack_id] = stack
        stack.enter("CREATE_IN_PROGRESS", "User Initiated")
        self._run(stack, lambda operations: operations.create(on_failure, partial(_export, backend, stack)))
        return ActionResult({"StackId": stack.stack_id})

    def update_stack(self) -> ActionResult:
        """UpdateStack."""
        stack = self._stack(self.params["StackName"])
        if not stack.status.endswith("_COMPLETE") or stack.status == "ROLLBACK_COMPLETE":
            message = f"Stack:{stack.stack_id} is in {stack.status} state and can not be updated."
            raise ValidationError(message=message)
        template = stack.template if self.params.get("UsePreviousTemplate") else self._template()
        parameters = self._parameters(stack.parameters)
        tags = self._tags() if "Tags" in self.params else stack.tags
        resources = stack.resources_of(template, parameters, tags)
        _check(resources)
        same_template = stack.template_dict == stack.parse_template(template)
        if same_template and parameters == stack.parameters and tags == stack.tags:
            raise ValidationError(message="No updates are to be performed.")
        stack.enter("UPDATE_IN_PROGRESS", "User Initiated")
        backend = self.cloudformation_backend

        before = (stack.template, stack.parameters, stack.tags, stack.resource_map)

        def adopt() -> None:
            stack.adopt(template, parameters, tags, resources)
            try:
                _export(backend, stack)
            except ResourceFailed:
                stack.adopt(*before)
                raise

        self._run(stack, lambda operations: operations.update(resources, adopt))
        return ActionResult({"StackId": stack.stack_id})

    def delete_stack(self) -> ActionResult:
        """DeleteStack; a missing stack is ignored."""
        backend, name = self.cloudformation_backend, self.params["StackName"]
        stack = next((item for item in backend.stacks.values() if name in (item.name, item.stack_id)), None)
        if not isinstance(stack, BackgroundStack):
            backend.delete_stack(name)
            return EmptyResult()
        if stack.enable_termination_protection:
            message = f"Stack [{stack.name}] cannot be deleted while TerminationProtection is enabled"
            raise ValidationError(message=message)
        if stack.status == "DELETE_IN_PROGRESS":
            return EmptyResult()
        if stack.status.endswith("IN_PROGRESS") and stack.status != "CREATE_IN_PROGRESS":
            message = f"Stack [{stack.stack_id}] cannot be deleted while in status {stack.status}"
            raise ValidationError(message=message)
        stack.cancelled.set()
        stack.enter("DELETE_IN_PROGRESS", "User Initiated")

        def forget() -> None:
            _remove_exports(backend, stack)
            backend.deleted_stacks[stack.stack_id] = backend.stacks.pop(stack.stack_id)

        self._run(stack, lambda operations: operations.delete(forget))
        return EmptyResult()

    def list_stack_resources(self) -> ActionResult:
        """ListStackResources, with the status of each resource."""
        return ActionResult({"StackResourceSummaries": self._stack(self.params["StackName"]).stack_resources})

    def describe_stack_resources(self) -> ActionResult:
        """DescribeStackResources, with the status of each resource."""
        logical_id = self.params.get("LogicalResourceId")
        records = self._stack(self.params["StackName"]).stack_resources
        return ActionResult({
            "StackResources": [record for record in records if logical_id in (None, record.logical_resource_id)]
        })  # fmt: skip

    def describe_stack_resource(self) -> ActionResult:
        """DescribeStackResource."""
        name, logical_id = self.params["StackName"], self.params["LogicalResourceId"]
        record = self._stack(name).records.get(logical_id)
        if record is None:
            raise ValidationError(message=f"Resource {logical_id} does not exist for stack {name}")
        return ActionResult({"StackResourceDetail": record})

    def create_change_set(self) -> NoReturn:
        """CreateChangeSet: not implemented, since moto would create its own resources."""
        raise NotImplementedError("CreateChangeSet")

    def create_stack_set(self) -> NoReturn:
        """CreateStackSet: not implemented, since moto would create its own resources."""
        raise NotImplementedError("CreateStackSet")

    def _stack(self, name: str) -> BackgroundStack:
        stack: BackgroundStack = self.cloudformation_backend.get_stack(name)
        return stack

    def _template(self) -> str:
        """The template in the request or at its URL.

        Raises:
            ValidationError: The request has neither.
        """
        url = self.params.get("TemplateURL")
        template = self._get_stack_from_s3_url(url) if url else self.params.get("TemplateBody")
        if not template:
            raise ValidationError(message="Either Template URL or Template Body must be specified.")
        return str(template)

    def _parameters(self, existing: dict[str, Any]) -> dict[str, Any]:
        parameters: dict[str, Any] = self._get_param_values(self.params.get("Parameters") or [], existing)
        return parameters

    def _tags(self) -> dict[str, str]:
        return {tag["Key"]: tag["Value"] for tag in self.params.get("Tags") or []}

    def _run(self, stack: BackgroundStack, operation: "Callable[[StackOperations], None]") -> None:
        """Run an operation after the previous one has ended."""

        def run() -> None:
            with stack.busy:
                operation(StackOperations(stack, self.control_plane, self.vectors, self.host))

        self.host.run(run)


def _check(resources: "Resources") -> None:
    """Check that the resources can be created.

    Raises:
        ValidationError: Dependencies are circular or unresolved.
        NotImplementedError: A resource type is not supported.
    """
    _ = resources.logical_ids
    unsupported = resources.unsupported_types()
    if unsupported:
        raise NotImplementedError(f"a stack with {', '.join(unsupported)}")


def _export(backend: Any, stack: BackgroundStack) -> None:
    """Replace the stack's exports.

    Raises:
        ResourceFailed: Another stack has an export with the same name.
    """
    _remove_exports(backend, stack)
    for export in stack.exports:
        if export.name in backend.exports:
            other = backend.exports[export.name].exporting_stack_id
            raise ResourceFailed(f"Export with name {export.name} is already exported by stack {other}. ")
        backend.exports[export.name] = export


def _remove_exports(backend: Any, stack: BackgroundStack) -> None:
    for name in [name for name, export in backend.exports.items() if export.exporting_stack_id == stack.stack_id]:
        del backend.exports[name]


def _check_stack_name(name: str) -> None:
    if not re.fullmatch(_STACK_NAME, name):
        raise ValidationError(
            message=f"1 validation error detected: Value '{name}' at 'stackName' failed to satisfy constraint: Member "
            f"must satisfy regular expression pattern: {_STACK_NAME}"
        )
