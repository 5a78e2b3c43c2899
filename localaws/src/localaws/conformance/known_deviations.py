"""Where AWS deviates from its models, and where moto does in actions that localaws does not touch."""

__all__ = ["is_known_deviation", "undeclared_members", "undeclared_values"]

_OPERATIONS = {
    "s3.GetBucketLocation": "the root element holds the text itself, which is a special case in botocore, too",
    "lambda.GetFunctionCodeSigningConfig": "without a configuration, the ARN that the model requires is missing",
}
#: Members that AWS sends and its models lack, by shape.
_MEMBERS = {
    # Seen in responses that users quote: {"ErrorCode": "CLIENT_ERROR_FROM_MODEL", "LogStreamArn": …, "Message": …,
    # "OriginalMessage": …, "OriginalStatusCode": …}, for example in opensearch-project/ml-commons' tests.
    "ModelError": frozenset({"ErrorCode"}),
}
#: Values that AWS sends and its enums lack, by shape.
_VALUES = {
    # The events of a stack's update, in CloudFormation's user guide ("Monitor the progress of a stack update").
    "ResourceStatus": frozenset({
        "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS",
    }),
}  # fmt: skip


def is_known_deviation(operation: str) -> bool:
    """Whether an operation, such as ``s3.GetBucketLocation``, is not checked."""
    return operation in _OPERATIONS


def undeclared_members(shape: str) -> frozenset[str]:
    """Members that a shape has on AWS in addition to the model's."""
    return _MEMBERS.get(shape, frozenset())


def undeclared_values(shape: str) -> frozenset[str]:
    """Values that an enum has on AWS in addition to the model's."""
    return _VALUES.get(shape, frozenset())
