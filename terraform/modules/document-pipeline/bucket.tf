# The bucket of documents. Every change of an object sends a message to the queue.

locals {
  bucket_name = coalesce(var.bucket.name, "${var.name}-${local._account}-${local._region}")
  _bucket_arn = "arn:${local._partition}:s3:::${local.bucket_name}"
}

resource "aws_s3_bucket" "documents" {
  #checkov:skip=CKV_AWS_18:CloudTrail records access; a bucket of access logs would need another bucket for its own
  #checkov:skip=CKV_AWS_144:Versions are the backup; for another region, replicate the source of the documents
  bucket        = local.bucket_name
  force_destroy = var.bucket.force_destroy
  tags          = var.tags
}

resource "aws_s3_bucket_versioning" "documents" {
  bucket = aws_s3_bucket.documents.id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "documents" {
  bucket = aws_s3_bucket.documents.id

  rule {
    bucket_key_enabled = true

    apply_server_side_encryption_by_default {
      # Null selects the account's key for S3, which permits everyone who may use the bucket.
      kms_master_key_id = var.kms_key_arn
      sse_algorithm     = "aws:kms"
    }
  }
}

resource "aws_s3_bucket_public_access_block" "documents" {
  bucket = aws_s3_bucket.documents.id

  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_lifecycle_configuration" "documents" {
  bucket = aws_s3_bucket.documents.id

  rule {
    id     = "old-versions"
    status = "Enabled"

    filter {}

    abort_incomplete_multipart_upload {
      days_after_initiation = 7
    }
    expiration {
      # Removes delete markers without versions.
      expired_object_delete_marker = true
    }
    noncurrent_version_expiration {
      noncurrent_days = var.bucket.noncurrent_days
    }
  }

  depends_on = [aws_s3_bucket_versioning.documents]
}

resource "aws_s3_bucket_policy" "documents" {
  bucket = aws_s3_bucket.documents.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "RefusePlainText"
        Effect    = "Deny"
        Principal = "*"
        Action    = "s3:*"
        Resource  = [local._bucket_arn, "${local._bucket_arn}/*"]
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      },
    ]
  })
}

# S3 sends a test message immediately, and rejects a queue that it may not send to.
resource "aws_s3_bucket_notification" "documents" {
  bucket = aws_s3_bucket.documents.id

  queue {
    id = "documents"
    # An object that a lifecycle rule expires is removed without an event s3:ObjectRemoved.
    events        = ["s3:LifecycleExpiration:*", "s3:ObjectCreated:*", "s3:ObjectRemoved:*"]
    filter_prefix = var.bucket.prefix
    filter_suffix = var.bucket.suffix
    queue_arn     = aws_sqs_queue.ingest.arn
  }
}
