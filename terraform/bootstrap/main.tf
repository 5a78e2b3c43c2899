data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

data "aws_region" "current" {}

locals {
  _account   = data.aws_caller_identity.current.account_id
  _partition = data.aws_partition.current.partition
  # Provider 5.100 has no attribute region, and newer ones deprecate id and name.
  _region = split(".", data.aws_region.current.endpoint)[1]

  # Patterns of the names of the resources that the deployed root creates.
  _named          = "${var.name}-*"
  _stacks_named   = "${var.name}-*-stack/*"
  _pipeline_named = "${var.name}-pipeline-*"
  _vectors_named  = "${var.name}-vectors*"

  # IAM has no condition for the boundary of a role that is passed. A path that only an apply uses serves instead: it
  # contains no role without the boundary, whatever the names of other roles in the account.
  _role_path = "/embedstack/${var.name}/"
  _roles     = "arn:${local._partition}:iam::${local._account}:role${local._role_path}*"
}

provider "aws" {
  region = var.aws_region

  default_tags {
    tags = {
      ManagedBy = "terraform"
      Project   = var.name
      Purpose   = "bootstrap"
    }
  }
}
