data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

data "aws_region" "current" {}

locals {
  _account   = data.aws_caller_identity.current.account_id
  _partition = data.aws_partition.current.partition
  _region    = data.aws_region.current.id

  # Pattern of the names of all resources that the deployed root creates.
  _named = "${var.name}-*"
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
