data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

data "aws_region" "current" {}

locals {
  _account   = data.aws_caller_identity.current.account_id
  _partition = data.aws_partition.current.partition
  # Provider 5.100 has no attribute region, and newer ones deprecate id and name.
  _region = split(".", data.aws_region.current.endpoint)[1]

  # Settings for the library. The statements below are the permissions that its callers need.
  environment         = var.s3_vectors == null ? local._aurora_environment : local._bucket_environment
  reading_environment = var.s3_vectors == null ? local._aurora_reading_environment : local._bucket_environment

  # Lists that are empty if they do not apply, because a conditional requires values of one type.
  reading_statements = concat(local._bucket_reading, local._aurora_statements.reading)
  writing_statements = concat(local._bucket_reading, local._bucket_writing, local._aurora_statements.writing)
}
