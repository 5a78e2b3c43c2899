"""CloudFormation's actions on stacks: answered at once, carried out in the background."""

from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from moto.cloudformation.exceptions import AlreadyExistsException, ValidationError
from moto.cloudformation.responses import CloudFormationResponse
from moto.cloudformation.utils import generate_stack_id
from moto.core.responses import ActionResult, EmptyResult

from localaws.services.cloudformation.operations import StackOperations
from localaws.services.cloudformation.service_resources import ResourceFailed
from localaws.services.cloudformation.stacks import BackgroundStack

if TYPE_CHECKING:
    from collections.abc import Callable

    from localaws.services.cloudformation.stacks import Resources
    from localaws.services.s3vectors.service import S3Vectors
    from localaws.services.sagemaker.api import SageMaker
    from localaws.services.sagemaker.host import EndpointHost

__all__ = ["CloudFormation"]


class CloudFormation(CloudFormationResponse):  # type: ignore[misc]  # moto is untyped
    """Answers what moto would do on the spot; the rest is moto's."""

    host: ClassVar["EndpointHost"]
    control_plane: "ClassVar[type[SageMaker]]"
    vectors: "ClassVar[S3Vectors]"

    def create_stack(self) -> ActionResult:
        """CreateStack."""
        name, backend = self.params["StackName"], self.cloudformation_backend
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
        """DeleteStack; of a stack that is not there it is no error."""
        backend, name = self.cloudformation_backend, self.params["StackName"]
        stack = next((found for found in backend.stacks.values() if name in (found.name, found.stack_id)), None)
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
            _withdraw(backend, stack)
            backend.deleted_stacks[stack.stack_id] = backend.stacks.pop(stack.stack_id)

        self._run(stack, lambda operations: operations.delete(forget))
        return EmptyResult()

    def list_stack_resources(self) -> ActionResult:
        """ListStackResources; moto says CREATE_COMPLETE of all."""
        return ActionResult({"StackResourceSummaries": self._stack(self.params["StackName"]).stack_resources})

    def describe_stack_resources(self) -> ActionResult:
        """DescribeStackResources; moto gives every resource the stack's status."""
        wanted = self.params.get("LogicalResourceId")
        found = self._stack(self.params["StackName"]).stack_resources
        return ActionResult({
            "StackResources": [record for record in found if wanted in (None, record.logical_resource_id)]
        })  # fmt: skip

    def describe_stack_resource(self) -> ActionResult:
        """DescribeStackResource."""
        name, wanted = self.params["StackName"], self.params["LogicalResourceId"]
        record = self._stack(name).records.get(wanted)
        if record is None:
            raise ValidationError(message=f"Resource {wanted} does not exist for stack {name}")
        return ActionResult({"StackResourceDetail": record})

    def create_change_set(self) -> NoReturn:
        """Not simulated: moto would carry it out on the spot, with resources of its own."""
        raise NotImplementedError("CreateChangeSet")

    def create_stack_set(self) -> NoReturn:
        """Not simulated, for the same reason."""
        raise NotImplementedError("CreateStackSet")

    def _stack(self, name: str) -> BackgroundStack:
        stack: BackgroundStack = self.cloudformation_backend.get_stack(name)
        return stack

    def _template(self) -> str:
        """The template that the request has, or names.

        Raises:
            ValidationError: It has none.
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
        """Carry out an operation once the one before it is over."""

        def run() -> None:
            with stack.busy:
                operation(StackOperations(stack, self.control_plane, self.vectors, self.host))

        self.host.run(run)


def _check(resources: "Resources") -> None:
    """Refuse what cannot be carried out, before anything is.

    Raises:
        ValidationError: Resources depend on each other, or on something that is not there.
        NotImplementedError: The local AWS does not have a resource type.
    """
    _ = resources.logical_ids
    unsupported = resources.unsupported_types()
    if unsupported:
        raise NotImplementedError(f"a stack with {', '.join(unsupported)}")


def _export(backend: Any, stack: BackgroundStack) -> None:
    """Offer the stack's exports to other stacks, and no more those that it had before.

    Raises:
        ResourceFailed: Another stack has one of that name.
    """
    _withdraw(backend, stack)
    for export in stack.exports:
        if export.name in backend.exports:
            other = backend.exports[export.name].exporting_stack_id
            raise ResourceFailed(f"Export with name {export.name} is already exported by stack {other}. ")
        backend.exports[export.name] = export


def _withdraw(backend: Any, stack: BackgroundStack) -> None:
    for name in [name for name, found in backend.exports.items() if found.exporting_stack_id == stack.stack_id]:
        del backend.exports[name]
