# A vector bucket. Version 5 of the provider does not support it; CloudFormation does. provider-6/vector-bucket has the
# native resource.
#
# Collections are indexes in it. The library creates them, with tags for their model and chunking. It would reject an
# index that Terraform created without these tags. It also makes their texts searchable by keywords.

locals {
  bucket_name = try(coalesce(var.s3_vectors.bucket_name, var.name), null)
  bucket_arn = var.s3_vectors == null ? null : join(":", [
    "arn:${local._partition}:s3vectors:${local._region}:${local._account}",
    "bucket/${local.bucket_name}",
  ])

  _bucket_environment = {
    VECTOR_BUCKET = local.bucket_name
    VECTOR_STORE  = "s3vectors"
  }
  _index_arns = "${coalesce(local.bucket_arn, "-")}/index/*"

  _bucket_reading = [
    for statement in [
      {
        Sid      = "FindCollections"
        Effect   = "Allow"
        Action   = "s3vectors:GetVectorBucket"
        Resource = local.bucket_arn
      },
      {
        # A tag of the bucket names the index of a collection, and tags of an index describe its vectors.
        Sid      = "KnowCollections"
        Effect   = "Allow"
        Action   = "s3vectors:ListTagsForResource"
        Resource = [local.bucket_arn, local._index_arns]
      },
      {
        # A query with texts, filters or metadata needs GetVectors, too. GetIndex says what an index can search by.
        Sid      = "ReadVectors"
        Effect   = "Allow"
        Action   = ["s3vectors:GetIndex", "s3vectors:GetVectors", "s3vectors:QueryVectors"]
        Resource = local._index_arns
      },
      {
        Sid      = "DecryptVectors"
        Effect   = "Allow"
        Action   = "kms:Decrypt"
        Resource = try(var.s3_vectors.kms_key_arn, null)
      },
    ] : statement if var.s3_vectors != null && statement.Resource != null
  ]
  _bucket_writing = [
    for statement in [
      {
        # Excludes DeleteIndex: functions never replace or drop a collection. The updates make the texts of an existing
        # index searchable by keywords.
        Sid    = "WriteVectors"
        Effect = "Allow"
        Action = [
          "s3vectors:CreateIndex",
          "s3vectors:DeleteVectors",
          "s3vectors:PutVectors",
          "s3vectors:TagResource",
          "s3vectors:UpdateIndexMode",
          "s3vectors:UpdateMetadataConfiguration",
        ]
        Resource = local._index_arns
      },
      {
        # Finding a document's vectors for deletion requires listing all vectors.
        Sid      = "ListVectors"
        Effect   = "Allow"
        Action   = "s3vectors:ListVectors"
        Resource = local._index_arns
      },
      {
        Sid      = "EncryptVectors"
        Effect   = "Allow"
        Action   = "kms:GenerateDataKey"
        Resource = try(var.s3_vectors.kms_key_arn, null)
      },
    ] : statement if var.s3_vectors != null && statement.Resource != null
  ]
}

resource "aws_cloudformation_stack" "vectors" {
  #checkov:skip=CKV_AWS_124:The apply waits for the stack and shows its events, so that a topic adds nothing
  count = try(var.s3_vectors.create, false) ? 1 : 0

  name = "${var.name}-stack"
  tags = var.tags

  template_body = jsonencode({
    AWSTemplateFormatVersion = "2010-09-09"
    Description              = "Vector bucket ${local.bucket_name}. Made by Terraform."
    Resources = {
      VectorBucket = {
        Type                = "AWS::S3Vectors::VectorBucket"
        DeletionPolicy      = var.s3_vectors.retain ? "Retain" : "Delete"
        UpdateReplacePolicy = "Retain"
        Properties = merge(
          { VectorBucketName = local.bucket_name },
          var.s3_vectors.kms_key_arn == null ? {} : {
            EncryptionConfiguration = { KmsKeyArn = var.s3_vectors.kms_key_arn, SseType = "aws:kms" }
          },
        )
      }
    }
  })
}
