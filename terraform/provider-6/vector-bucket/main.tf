# Collections are indexes in the bucket. The library creates them, with tags for their model and chunking, and rejects
# an index without these tags: aws_s3vectors_index is of no use here.

resource "aws_s3vectors_vector_bucket" "vectors" {
  vector_bucket_name = var.name

  encryption_configuration = var.kms_key_arn == null ? null : [{ kms_key_arn = var.kms_key_arn, sse_type = "aws:kms" }]
  force_destroy            = var.force_destroy
  tags                     = var.tags
}

resource "aws_s3vectors_vector_bucket_policy" "vectors" {
  count = var.policy_json == null ? 0 : 1

  policy            = var.policy_json
  vector_bucket_arn = aws_s3vectors_vector_bucket.vectors.vector_bucket_arn
}
