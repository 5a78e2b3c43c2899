# The provider reads AWS_ENDPOINT_URL itself, so that the same root runs against AWS and against the local AWS.
provider "aws" {
  region = var.aws_region

  default_tags {
    tags = merge(
      {
        Environment = var.environment
        ManagedBy   = "terraform"
        Project     = var.name
      },
      var.tags,
    )
  }
}
