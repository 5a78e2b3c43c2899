locals {
  _creates = var.vpc == null ? false : length(var.vpc.security_group_ids) == 0

  security_group_ids = (
    var.vpc == null ? [] :
    local._creates ? aws_security_group.egress[*].id : var.vpc.security_group_ids
  )
}

data "aws_subnet" "first" {
  count = local._creates ? 1 : 0

  id = var.vpc.subnet_ids[0]
}

resource "aws_security_group" "egress" {
  #checkov:skip=CKV2_AWS_5:The resources of the calling module attach it
  count = local._creates ? 1 : 0

  name        = var.name
  description = var.description
  tags        = var.tags
  vpc_id      = data.aws_subnet.first[0].vpc_id
}

resource "aws_vpc_security_group_egress_rule" "https" {
  count = local._creates ? 1 : 0

  security_group_id = aws_security_group.egress[0].id
  cidr_ipv4         = "0.0.0.0/0"
  description       = var.https_description
  from_port         = 443
  ip_protocol       = "tcp"
  tags              = var.tags
  to_port           = 443
}
