"""CloudFormation's resource types of S3 Vectors, mapped to the service's API.

Properties, create-only properties, primary identifiers and attributes are those of the published schemas (us-east-1,
2026-11). The value of Ref is the primary identifier.
"""

from dataclasses import dataclass

__all__ = ["S3VECTORS_TYPES", "S3VectorsType"]


@dataclass(frozen=True, slots=True)
class S3VectorsType:
    """One resource type.

    Attributes:
        properties: Properties that a template may set.
        create_only: Paths of properties whose change makes CloudFormation replace the resource.
        required: Required properties.
        create: The operation that creates it.
        read: The operation that describes it; its only member is the description.
        delete: The operation that deletes it.
        arn: The attribute that is its primary identifier.
        name_property: The property that names the resource; None without a name.
        taggable: Whether it has tags.
    """

    properties: frozenset[str]
    create_only: frozenset[str]
    required: tuple[str, ...]
    create: str
    read: str
    delete: str
    arn: str
    name_property: str | None = None
    taggable: bool = True

    @property
    def lowercase_name(self) -> bool:
        """Names are lowercase."""
        return True

    @property
    def tag_with_stack(self) -> bool:
        """Whether the resource gets the tags aws:cloudformation:*."""
        return self.taggable

    @property
    def attribute_names(self) -> frozenset[str]:
        """The attributes for Fn::GetAtt."""
        return frozenset({self.arn, "CreationTime"}) if self.taggable else frozenset({self.arn})


_BUCKET = frozenset({"EncryptionConfiguration", "VectorBucketName"})
_INDEX = frozenset({
    "DataType", "Dimension", "DistanceMetric", "EncryptionConfiguration", "IndexName", "MetadataConfiguration",
    "VectorBucketArn", "VectorBucketName",
})  # fmt: skip
_POLICY = frozenset({"VectorBucketArn", "VectorBucketName"})

S3VECTORS_TYPES = {
    "AWS::S3Vectors::VectorBucket": S3VectorsType(
        _BUCKET | {"Tags"},
        create_only=_BUCKET,
        required=(),
        create="CreateVectorBucket",
        read="GetVectorBucket",
        delete="DeleteVectorBucket",
        arn="VectorBucketArn",
        name_property="VectorBucketName",
    ),
    "AWS::S3Vectors::Index": S3VectorsType(
        _INDEX | {"Tags"},
        create_only=_INDEX - {"MetadataConfiguration"} | {"MetadataConfiguration/NonFilterableMetadataKeys"},
        required=("DataType", "Dimension", "DistanceMetric"),
        create="CreateIndex",
        read="GetIndex",
        delete="DeleteIndex",
        arn="IndexArn",
        name_property="IndexName",
    ),
    "AWS::S3Vectors::VectorBucketPolicy": S3VectorsType(
        _POLICY | {"Policy"},
        create_only=_POLICY,
        required=("Policy",),
        create="PutVectorBucketPolicy",
        read="GetVectorBucketPolicy",
        delete="DeleteVectorBucketPolicy",
        arn="VectorBucketArn",
        taggable=False,
    ),
}
