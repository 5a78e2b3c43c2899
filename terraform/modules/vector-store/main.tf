data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

data "aws_region" "current" {}

locals {
  _account   = data.aws_caller_identity.current.account_id
  _partition = data.aws_partition.current.partition
  _region    = data.aws_region.current.id

  # The environment is what the library reads; what a caller has to be allowed is listed beside it.
  environment = var.s3_vectors == null ? local._aurora_environment : local._bucket_environment

  # Compact lists of what applies, as objects of different shapes do not fit into one conditional.
  reading_statements = concat(local._bucket_reading, local._aurora_statements)
  writing_statements = concat(local._bucket_reading, local._bucket_writing, local._aurora_statements)
}
