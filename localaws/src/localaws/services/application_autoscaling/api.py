"""The Application Auto Scaling API for SageMaker's resources; other namespaces are moto's."""

import json
from typing import TYPE_CHECKING, Any, ClassVar

from moto.applicationautoscaling.responses import ApplicationAutoScalingResponse
from moto.core.responses import ActionResult, EmptyResult
from moto.core.utils import get_service_model

from localaws.core.request_validation import check_request
from localaws.services.application_autoscaling import descriptions
from localaws.services.application_autoscaling.errors import ObjectNotFound, ResourceNotFound, ValidationFailed
from localaws.services.application_autoscaling.policies import put_policy
from localaws.services.application_autoscaling.records import NAMESPACE, Target, TargetKey
from localaws.services.application_autoscaling.registration import find_endpoint, register, target_key, with_tags
from localaws.services.application_autoscaling.scheduled_actions import put_action

if TYPE_CHECKING:
    from localaws.services.application_autoscaling.records import Region
    from localaws.services.application_autoscaling.service import AutoScaling

__all__ = ["SIMPLIFICATIONS", "ApplicationAutoScaling"]

SIMPLIFICATIONS = {
    "DescribeScalingActivities": "The latest 1,000 activities of a region are stored, not those of six weeks.",
    "PutScalingPolicy": "Target tracking and step scaling. Predictive scaling and metric math are not implemented.",
    "PutScheduledAction": "Cron expressions without L, W and #.",
    "RegisterScalableTarget": "SageMaker's resources are scaled; targets of other services are only stored.",
}

_PAGE = 50
_POLICY_PAGE = 10


class ApplicationAutoScaling(ApplicationAutoScalingResponse):  # type: ignore[misc]  # moto is untyped
    """The API; the service's registry holds SageMaker's targets."""

    auto_scaling: ClassVar["AutoScaling"]

    def __init__(self) -> None:
        """Use moto's parser that follows the API model, as moto does for newer services."""
        super().__init__()
        self.automated_parameter_parsing = True

    def register_scalable_target(self) -> Any:
        """RegisterScalableTarget; a capacity outside the range is moved into it."""
        if not self._is_sagemaker():
            return super().register_scalable_target()
        request, region = self._checked_request(), self._region
        key = target_key(request)
        with self.auto_scaling.registry.lock:
            if self.auto_scaling.scaler.resource(region, key) is None:
                raise ValidationFailed(self._not_found_message(key))
            target = register(region, request, self.auto_scaling.time.now())
            self.auto_scaling.scaler.keep_in_range(region, target)
            return ActionResult({"ScalableTargetARN": target.arn})

    def deregister_scalable_target(self) -> Any:
        """DeregisterScalableTarget with its policies and scheduled actions; the capacity does not change."""
        if not self._is_sagemaker():
            return super().deregister_scalable_target()
        request, region = self._checked_request(), self._region
        key = target_key(request)
        with self.auto_scaling.registry.lock:
            if key not in region.targets:
                raise ObjectNotFound(f"No scalable target found for {key}")
            self.auto_scaling.deregister(region, region.targets[key])
        return EmptyResult()

    def describe_scalable_targets(self) -> Any:
        """DescribeScalableTargets."""
        if not self._is_sagemaker():
            return super().describe_scalable_targets()
        request = self._checked_request()
        with self.auto_scaling.registry.lock:
            targets = [
                target
                for target in self._region.targets.values()
                if target.key.resource_id in (request.get("ResourceIds") or [target.key.resource_id])
                and target.key.dimension == (request.get("ScalableDimension") or target.key.dimension)
            ]
            return ActionResult(descriptions.page("ScalableTargets", targets, descriptions.target, request, _PAGE))

    def put_scaling_policy(self) -> Any:
        """PutScalingPolicy."""
        if not self._is_sagemaker():
            return super().put_scaling_policy()
        request, region = self._checked_request(), self._region
        with self.auto_scaling.registry.lock:
            target, now = self._registered(request), self.auto_scaling.time.now()
            policy = put_policy(region, target, request, self.auto_scaling.alarms, now)
            return ActionResult({"PolicyARN": policy.arn, "Alarms": descriptions.alarms(region, policy)})

    def describe_scaling_policies(self) -> Any:
        """DescribeScalingPolicies."""
        if not self._is_sagemaker():
            return super().describe_scaling_policies()
        request, region = self._checked_request(), self._region
        with self.auto_scaling.registry.lock:
            policies = [
                (target, policy)
                for target in self._targets(request)
                for policy in target.policies.values()
                if policy.name in (request.get("PolicyNames") or [policy.name])
            ]
            return ActionResult(
                descriptions.page(
                    "ScalingPolicies", policies, lambda pair: descriptions.policy(region, *pair), request, _POLICY_PAGE
                )
            )

    def delete_scaling_policy(self) -> Any:
        """DeleteScalingPolicy with the alarms created for it."""
        if not self._is_sagemaker():
            return super().delete_scaling_policy()
        request, region = self._checked_request(), self._region
        key, name = target_key(request), request["PolicyName"]
        with self.auto_scaling.registry.lock:
            target = region.targets.get(key)
            if target is None or name not in target.policies:
                raise ObjectNotFound(f"No scaling policy found for {key}, policy name: {name}")
            self.auto_scaling.alarms.delete(region.account_id, region.name, target.policies.pop(name))
        return EmptyResult()

    def put_scheduled_action(self) -> Any:
        """PutScheduledAction."""
        if not self._is_sagemaker():
            return super().put_scheduled_action()
        request = self._checked_request()
        with self.auto_scaling.registry.lock:
            put_action(self._region, self._registered(request), request, self.auto_scaling.time.now())
        return EmptyResult()

    def describe_scheduled_actions(self) -> Any:
        """DescribeScheduledActions."""
        if not self._is_sagemaker():
            return super().describe_scheduled_actions()
        request = self._checked_request()
        with self.auto_scaling.registry.lock:
            actions = [
                (target, action)
                for target in self._targets(request)
                for action in target.actions.values()
                if action.name in (request.get("ScheduledActionNames") or [action.name])
            ]
            return ActionResult(
                descriptions.page(
                    "ScheduledActions", actions, lambda pair: descriptions.scheduled_action(*pair), request, _PAGE
                )
            )

    def delete_scheduled_action(self) -> Any:
        """DeleteScheduledAction."""
        if not self._is_sagemaker():
            return super().delete_scheduled_action()
        request, region = self._checked_request(), self._region
        key, name = target_key(request), request["ScheduledActionName"]
        with self.auto_scaling.registry.lock:
            target = region.targets.get(key)
            if target is None or name not in target.actions:
                raise ObjectNotFound(f"No scheduled action found for {key}, scheduled action name: {name}")
            del target.actions[name]
        return EmptyResult()

    def describe_scaling_activities(self) -> Any:
        """DescribeScalingActivities, latest first."""
        if not self._is_sagemaker():
            raise NotImplementedError("DescribeScalingActivities for namespaces other than sagemaker")
        request = self._checked_request()
        with self.auto_scaling.registry.lock:
            activities = [
                activity
                for activity in reversed(self._region.activities)
                if _selects(request, activity.key)
                and (request.get("IncludeNotScaledActivities") or not activity.not_scaled)
            ]
            return ActionResult(
                descriptions.page("ScalingActivities", activities, descriptions.activity, request, _PAGE)
            )

    def list_tags_for_resource(self) -> ActionResult:
        """ListTagsForResource."""
        with self.auto_scaling.registry.lock:
            return ActionResult({"Tags": self._tagged(self._checked_request()["ResourceARN"]).tags})

    def tag_resource(self) -> ActionResult:
        """TagResource."""
        request = self._checked_request()
        with self.auto_scaling.registry.lock:
            target = self._tagged(request["ResourceARN"])
            target.tags = with_tags(target.tags, request["Tags"], target.arn)
        return EmptyResult()

    def untag_resource(self) -> ActionResult:
        """UntagResource."""
        request = self._checked_request()
        with self.auto_scaling.registry.lock:
            target = self._tagged(request["ResourceARN"])
            target.tags = {key: value for key, value in target.tags.items() if key not in request["TagKeys"]}
        return EmptyResult()

    @property
    def _region(self) -> "Region":
        return self.auto_scaling.registry.region(self.current_account, self.region)

    def _is_sagemaker(self) -> bool:
        return bool(json.loads(self.body or "{}").get("ServiceNamespace") == NAMESPACE)

    def _checked_request(self) -> dict[str, Any]:
        """The request's parameters.

        Raises:
            ValidationFailed: A parameter violates the API model.
        """
        operation = get_service_model("application-autoscaling").operation_model(self._get_action())
        message = check_request(operation.input_shape, self.params)
        if message is not None:
            raise ValidationFailed(message)
        return dict(self.params)

    def _registered(self, request: dict[str, Any]) -> Target:
        key = target_key(request)
        target = self._region.targets.get(key)
        if target is None:
            raise ObjectNotFound(f"No scalable target registered for {key}")
        return target

    def _targets(self, request: dict[str, Any]) -> list[Target]:
        return [target for target in self._region.targets.values() if _selects(request, target.key)]

    def _tagged(self, arn: str) -> Target:
        for target in self._region.targets.values():
            if target.arn == arn:
                return target
        raise ResourceNotFound(arn)

    def _not_found_message(self, key: TargetKey) -> str:
        """SageMaker's message for a missing resource."""
        region, parts = self._region, key.resource_id.split("/")
        endpoint = f'endpoint "{region.arn("sagemaker", f"endpoint/{parts[1]}")}"'
        if parts[0] != "endpoint":
            return f'Could not find inference component "{region.arn("sagemaker", key.resource_id)}".'
        if find_endpoint(region, key) is None:
            return f"Could not find {endpoint}."
        return f'Could not find variant "{parts[3]}" for {endpoint}.'


def _selects(request: dict[str, Any], key: TargetKey) -> bool:
    """Whether a Describe request selects a target."""
    return key.resource_id == (request.get("ResourceId") or key.resource_id) and key.dimension == (
        request.get("ScalableDimension") or key.dimension
    )
