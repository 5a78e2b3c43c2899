"""Error codes that services send although the operation's model does not declare them."""

__all__ = ["is_undeclared_code"]

#: AWS's "Common errors", in the API reference of every service, with the names in older and newer protocols.
_COMMON = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "ExpiredTokenException",
        "IncompleteSignature",
        "InternalFailure",
        "InvalidAction",
        "InvalidClientTokenId",
        "InvalidParameterCombination",
        "InvalidParameterValue",
        "MalformedQueryString",
        "MissingAction",
        "MissingAuthenticationToken",
        "MissingParameter",
        "OptInRequired",
        "RequestExpired",
        "ServiceUnavailable",
        "Throttling",
        "ThrottlingException",
        "UnrecognizedClientException",
        "ValidationError",
    }
)
#: By service, with the source.
_OF_SERVICES: dict[str, frozenset[str]] = {
    # Sent by the real service for every invalid request ("An error occurred (ValidationException)
    # when calling the CreateEndpoint operation"), and declared by no operation of its model.
    "sagemaker": frozenset({"ValidationException"}),
    # "An error occurred (ValidationException) when calling the GetCostAndUsage operation", in users' reports.
    "ce": frozenset({"ValidationException"}),
    # Sent for every violation of the model, in snapshots of localstack/localstack, which were recorded on AWS.
    "lambda": frozenset({"ValidationException"}),
    # The same, in front of the model; CreateLogGroup and others declare InvalidParameterException only.
    "logs": frozenset({"ValidationException"}),
    # "SerializationException" (HTTP 400) for a body that is not valid JSON for the operation, in users' reports.
    "s3vectors": frozenset({"SerializationException"}),
    # "Error codes for the Amazon EC2 API": its model declares none at all.
    "ec2": frozenset(
        {
            "DependencyViolation",
            "InvalidGroup.Duplicate",
            "InvalidGroup.NotFound",
            "InvalidNetworkInterfaceID.NotFound",
            "InvalidPermission.Duplicate",
            "InvalidPermission.NotFound",
            "InvalidRouteTableID.NotFound",
            "InvalidSecurityGroupRuleId.NotFound",
            "InvalidSubnetID.NotFound",
            "InvalidVpcEndpointId.NotFound",
            "InvalidVpcID.NotFound",
        }
    ),
    # The codes of the query protocol, which the service sends besides those of its model (header x-amzn-query-error).
    "sqs": frozenset(
        {
            "AWS.SimpleQueueService.BatchEntryIdsNotDistinct",
            "AWS.SimpleQueueService.BatchRequestTooLong",
            "AWS.SimpleQueueService.EmptyBatchRequest",
            "AWS.SimpleQueueService.InvalidBatchEntryId",
            "AWS.SimpleQueueService.NonExistentQueue",
            "AWS.SimpleQueueService.PurgeQueueInProgress",
            "AWS.SimpleQueueService.TooManyEntriesInBatchRequest",
            "QueueAlreadyExists",
        }
    ),
    # Amazon S3 API reference, "List of error codes": the model declares almost none of them.
    "s3": frozenset(
        {
            "BucketAlreadyExists",
            "BucketAlreadyOwnedByYou",
            "BucketNotEmpty",
            "EntityTooLarge",
            "IllegalLocationConstraintException",
            "InvalidArgument",
            "InvalidBucketName",
            "InvalidPart",
            "InvalidRange",
            "InvalidRequest",
            "MalformedXML",
            "MethodNotAllowed",
            "NoSuchBucket",
            "NoSuchBucketPolicy",
            "NoSuchCORSConfiguration",
            "NoSuchKey",
            "NoSuchLifecycleConfiguration",
            "NoSuchPublicAccessBlockConfiguration",
            "NoSuchTagSet",
            "NoSuchUpload",
            "NoSuchWebsiteConfiguration",
            "ObjectLockConfigurationNotFoundError",
            "OwnershipControlsNotFoundError",
            "PreconditionFailed",
            "ReplicationConfigurationNotFoundError",
            "ServerSideEncryptionConfigurationNotFoundError",
        }
    ),
}


def is_undeclared_code(service: str, code: str) -> bool:
    """Whether a service is known to send an error code that its operations do not declare."""
    return code in _COMMON or code in _OF_SERVICES.get(service, ())
