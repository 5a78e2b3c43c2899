"""Where AWS itself departs from its models, and where moto does in what nothing of ours comes near."""

__all__ = ["is_known_deviation", "undeclared_members", "undeclared_values"]

_OPERATIONS = {
    "s3.GetBucketLocation": "the element of the answer is the text itself, which botocore special-cases too",
    "lambda.GetFunctionCodeSigningConfig": "of a function without one, the ARN that the model requires is not there",
}
#: Members that AWS answers and its models do not have, by shape.
_MEMBERS = {
    # Seen in the answers that users quote: {"ErrorCode": "CLIENT_ERROR_FROM_MODEL", "LogStreamArn": …, "Message": …,
    # "OriginalMessage": …, "OriginalStatusCode": …}, for example in opensearch-project/ml-commons' tests.
    "ModelError": frozenset({"ErrorCode"}),
}
#: Values that AWS answers and its enums do not have, by shape.
_VALUES = {
    # The events of a stack's update, in CloudFormation's user guide ("Monitor the progress of a stack update").
    "ResourceStatus": frozenset({
        "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS",
    }),
}  # fmt: skip


def is_known_deviation(operation: str) -> bool:
    """Whether an operation (``s3.GetBucketLocation``) is let through unchecked."""
    return operation in _OPERATIONS


def undeclared_members(shape: str) -> frozenset[str]:
    """Members that a shape has on AWS, beside those of the model."""
    return _MEMBERS.get(shape, frozenset())


def undeclared_values(shape: str) -> frozenset[str]:
    """Values that an enum has on AWS, beside those of the model."""
    return _VALUES.get(shape, frozenset())
