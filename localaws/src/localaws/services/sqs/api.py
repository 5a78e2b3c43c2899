"""The Amazon SQS API: moto's, with standard queues that are safe for concurrent use."""

import json
import re
from typing import Any, ClassVar, cast

from moto.core.responses import ActionResult
from moto.sqs.exceptions import QueueDoesNotExist, SQSException
from moto.sqs.models import SQSBackend, sqs_backends
from moto.sqs.responses import SQSResponse

from localaws.core.resource_policies import is_allowed
from localaws.services.sqs.message_queue import MessageQueue
from localaws.services.sqs.refusals import check_message, check_queue_attributes, check_receive, named_as_on_aws

__all__ = ["SIMPLIFICATIONS", "Sqs"]

SIMPLIFICATIONS = {
    "CreateQueue": "FIFO queues are moto's.",
    "GetQueueAttributes": "Counts of messages are exact.",
    "SendMessage": "Queue policies apply to other accounts, without their conditions; encryption is only stored.",
}

_OWNER_IN_URL = re.compile(r"https?://[^/]+/(\d{12})/", re.ASCII)
_REDRIVE_ALLOW = "RedriveAllowPolicy"
_DEAD_LETTER_SOURCE = "DeadLetterQueueSourceArn"


class _AccessDenied(SQSException):  # type: ignore[misc]  # moto is untyped
    """The response to a caller without permission in another account."""

    def __init__(self, region: str) -> None:
        super().__init__("AccessDenied", f"Access to the resource https://sqs.{region}.amazonaws.com/ is denied.")


class _Backend:
    """moto's backend for one request, with :class:`MessageQueue` for receiving and hiding messages."""

    def __init__(self, backend: SQSBackend) -> None:
        self._backend = backend

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def receive_message(self, queue_name: str, count: int, wait: int, visibility: int, names: list[str]) -> list[Any]:
        queue = self._backend.get_queue(queue_name)
        if not isinstance(queue, MessageQueue):
            return cast("list[Any]", self._backend.receive_message(queue_name, count, wait, visibility, names))
        taken = queue.receive(count, wait=wait, visibility=visibility)
        if queue.deleted:
            raise QueueDoesNotExist
        for message in taken:
            message.message_attributes = _selected(message.message_attributes, names)
        return taken

    def change_message_visibility(self, queue_name: str, receipt_handle: str, visibility_timeout: int) -> None:
        queue = self._backend.get_queue(queue_name)
        if isinstance(queue, MessageQueue):
            queue.change_visibility(receipt_handle, visibility_timeout)
        else:
            self._backend.change_message_visibility(queue_name, receipt_handle, visibility_timeout)

    def change_message_visibility_batch(
        self, queue_name: str, entries: list[dict[str, Any]]
    ) -> tuple[list[str], list[dict[str, Any]]]:
        succeeded, failed = [], []
        for entry in entries:
            try:
                self.change_message_visibility(queue_name, entry["ReceiptHandle"], int(entry["VisibilityTimeout"]))
                succeeded.append(entry["Id"])
            except SQSException as error:
                failed.append(
                    {"Id": entry["Id"], "SenderFault": True, "Code": error.code, "Message": str(error.message)}
                )
        return succeeded, failed


class Sqs(SQSResponse):  # type: ignore[misc]  # moto is untyped
    """The SQS API; SetQueueAttributes keeps the policy, and redrive allow policies are stored."""

    queue_class: ClassVar[type[MessageQueue]]

    @property
    def sqs_backend(self) -> Any:
        """The queues of the account that owns the request's queue, in the caller's region.

        Raises:
            SQSException: It is another account, whose queue does not allow the action to the caller's.
        """
        owner = self._queue_owner()
        if owner == self.current_account:
            return _Backend(super().sqs_backend)
        backend: SQSBackend = sqs_backends[owner][self.region]
        queue = backend.queues.get(self._get_param("QueueName") or self._get_queue_name())
        action = f"sqs:{self._get_action()}"
        if queue is None or not is_allowed(queue.policy, self.current_account, action, queue.queue_arn):
            raise _AccessDenied(self.region)
        return _Backend(backend)

    def _queue_owner(self) -> str:
        """The account in the request, which is part of a queue's URL; the caller's without one."""
        match = _OWNER_IN_URL.match(self._get_param("QueueUrl") or "")
        owner: str = match[1] if match else self._get_param("QueueOwnerAWSAccountId") or self.current_account
        return owner

    def create_queue(self) -> ActionResult:
        """CreateQueue."""
        name, attributes = self._get_param("QueueName"), dict(self._get_param("Attributes", {}))
        backend = self.sqs_backend
        allowed = attributes.pop(_REDRIVE_ALLOW, None)
        is_fifo = str(attributes.get("FifoQueue", "false")).lower() == "true"
        check_queue_attributes(backend.queues.get(name), attributes, is_fifo=is_fifo)
        if name not in backend.queues and not is_fifo:
            backend.queues[name] = self.queue_class(name, self.region, self.current_account, **attributes)
        self.params.get("Attributes", {}).pop(_REDRIVE_ALLOW, None)
        response = super().create_queue()
        if allowed:
            backend.queues[name].redrive_allow_policy = allowed
        return response

    def send_message(self) -> ActionResult:
        """SendMessage."""
        check_message(self.params)
        return super().send_message()

    @named_as_on_aws
    def send_message_batch(self) -> ActionResult:
        """SendMessageBatch."""
        return super().send_message_batch()

    @named_as_on_aws
    def delete_message_batch(self) -> ActionResult:
        """DeleteMessageBatch."""
        return super().delete_message_batch()

    @named_as_on_aws
    def change_message_visibility_batch(self) -> ActionResult:
        """ChangeMessageVisibilityBatch."""
        return super().change_message_visibility_batch()

    def delete_queue(self) -> ActionResult:
        """DeleteQueue; pending receives end."""
        queue = self.sqs_backend.queues.get(self._get_queue_name())
        response = super().delete_queue()
        if isinstance(queue, MessageQueue):
            queue.close()
        return response

    def set_queue_attributes(self) -> ActionResult:
        """SetQueueAttributes; missing attributes keep their values."""
        queue = self.sqs_backend.get_queue(self._get_queue_name())
        attributes = self._get_param("Attributes", {})
        policy, allowed = queue.policy, attributes.pop(_REDRIVE_ALLOW, None)
        response = super().set_queue_attributes()
        if "Policy" not in attributes:
            queue.policy = policy
        if allowed is not None:
            queue.redrive_allow_policy = allowed
        return response

    def get_queue_attributes(self) -> ActionResult:
        """GetQueueAttributes, with compact JSON as on AWS."""
        queue = self.sqs_backend.get_queue(self._get_queue_name())
        names = list(self._get_param("AttributeNames", []))
        allowed = getattr(queue, "redrive_allow_policy", None)
        moto_names = [name for name in names if name != _REDRIVE_ALLOW]
        attributes = {
            name: _compact(value) if name == "RedrivePolicy" else str(value)
            for name, value in self.sqs_backend.get_queue_attributes(queue.name, moto_names).items()
            if value is not None
        }
        if isinstance(queue, MessageQueue):
            counts = zip(("", "NotVisible", "Delayed"), queue.counts(), strict=True)
            attributes |= {
                name: str(count)
                for name, count in ((f"ApproximateNumberOfMessages{suffix}", count) for suffix, count in counts)
                if name in attributes
            }
        if allowed and ("All" in names or _REDRIVE_ALLOW in names):
            attributes[_REDRIVE_ALLOW] = allowed
        return ActionResult({"Attributes": attributes} if attributes else {})

    def receive_message(self) -> ActionResult:
        """ReceiveMessage; a message in a dead-letter queue has the attribute DeadLetterQueueSourceArn."""
        check_receive(self.params)
        response = super().receive_message()
        names = {*self._get_param("AttributeNames", []), *self._get_param("MessageSystemAttributeNames", [])}
        if names & {"All", _DEAD_LETTER_SOURCE}:
            queue = self.sqs_backend.get_queue(self._get_queue_name())
            for message in response.result.get("Messages", []):
                source = queue.source_of(message["MessageId"]) if isinstance(queue, MessageQueue) else None
                if source is not None:
                    message.setdefault("Attributes", {})[_DEAD_LETTER_SOURCE] = source
        return response


def _selected(attributes: dict[str, Any], names: list[str]) -> dict[str, Any]:
    """The message attributes that a receive selects: by name, ``prefix.*``, ``.*`` or ``All``."""
    prefixes = tuple(name[:-2] for name in names if name.endswith(".*"))
    return {
        name: value
        for name, value in attributes.items()
        if "All" in names or name in names or (prefixes and name.startswith(prefixes))
    }


def _compact(policy: str) -> str:
    return json.dumps(json.loads(policy), separators=(",", ":"))
