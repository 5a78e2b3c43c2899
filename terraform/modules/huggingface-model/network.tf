data "aws_subnet" "first" {
  count = local._makes_group ? 1 : 0

  id = var.vpc.subnet_ids[0]
}

locals {
  _makes_group = var.vpc == null ? false : length(var.vpc.security_group_ids) == 0

  vpc = var.vpc == null ? null : {
    security_group_ids = local._makes_group ? aws_security_group.embeddings[*].id : var.vpc.security_group_ids
    subnet_ids         = var.vpc.subnet_ids
  }
}

resource "aws_security_group" "embeddings" {
  #checkov:skip=CKV2_AWS_5:The model or the endpoint of the inference component attaches it
  count = local._makes_group ? 1 : 0

  name        = "${var.endpoint_name}-containers"
  description = "Containers of the SageMaker endpoint ${var.endpoint_name}"
  tags        = var.tags
  vpc_id      = data.aws_subnet.first[0].vpc_id
}

# The registry, S3, CloudWatch and the Hub are all HTTPS, and SageMaker reaches the containers by another way.
resource "aws_vpc_security_group_egress_rule" "https" {
  count = local._makes_group ? 1 : 0

  security_group_id = aws_security_group.embeddings[0].id
  cidr_ipv4         = "0.0.0.0/0"
  description       = "HTTPS to S3, CloudWatch and the Hugging Face Hub"
  from_port         = 443
  ip_protocol       = "tcp"
  tags              = var.tags
  to_port           = 443
}
