locals {
  vpc = var.vpc == null ? null : {
    security_group_ids = module.security_group.security_group_ids
    subnet_ids         = var.vpc.subnet_ids
  }
}

# The registry, S3, CloudWatch and the Hub use HTTPS. SageMaker does not reach the containers through this network.
module "security_group" {
  source = "../egress-security-group"

  name              = "${var.endpoint_name}-containers"
  description       = "Containers of the SageMaker endpoint ${var.endpoint_name}"
  https_description = "HTTPS to S3, CloudWatch and the Hugging Face Hub"
  tags              = var.tags
  vpc               = var.vpc
}
