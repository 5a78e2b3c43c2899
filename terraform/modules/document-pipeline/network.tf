# In a VPC the functions reach services through interface endpoints (sagemaker.runtime, sqs, secretsmanager, s3vectors,
# xray) and a gateway endpoint for S3, or through a NAT gateway; and the database directly.

locals {
  _makes_group = try(length(var.vpc.security_group_ids) == 0, false)

  security_group_ids = var.vpc == null ? [] : local._makes_group ? aws_security_group.functions[*].id : var.vpc.security_group_ids

  _ec2           = "arn:${local._partition}:ec2:${local._region}:${local._account}"
  _function_arns = [for function in ["ingest", "search"] : "arn:${local._partition}:lambda:${local._region}:${local._account}:function:${var.name}-${function}"]

  # Lambda makes the interfaces in the role's name.
  _network_statements = [
    for statement in [
      {
        Sid    = "CreateInterfaces"
        Effect = "Allow"
        Action = "ec2:CreateNetworkInterface"
        Resource = concat(
          ["${local._ec2}:network-interface/*"],
          [for id in local.security_group_ids : "${local._ec2}:security-group/${id}"],
          try([for id in var.vpc.subnet_ids : "${local._ec2}:subnet/${id}"], []),
        )
      },
      {
        # Lambda asks for all interfaces here, before there is one.
        Sid      = "ManageInterfaces"
        Effect   = "Allow"
        Action   = ["ec2:AssignPrivateIpAddresses", "ec2:DeleteNetworkInterface", "ec2:UnassignPrivateIpAddresses"]
        Resource = "${local._ec2}:network-interface/*"
      },
      {
        # IAM knows no resource for EC2's Describe actions.
        Sid      = "LookAtNetwork"
        Effect   = "Allow"
        Action   = ["ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets"]
        Resource = "*"
      },
      {
        # The permissions are for the service, not for the code that it runs.
        Sid    = "LeaveInterfacesToLambda"
        Effect = "Deny"
        Action = [
          "ec2:AssignPrivateIpAddresses",
          "ec2:CreateNetworkInterface",
          "ec2:DeleteNetworkInterface",
          "ec2:UnassignPrivateIpAddresses",
        ]
        Resource  = "*"
        Condition = { ArnEquals = { "lambda:SourceFunctionArn" = local._function_arns } }
      },
    ] : statement if var.vpc != null
  ]
}

data "aws_subnet" "first" {
  count = local._makes_group ? 1 : 0

  id = var.vpc.subnet_ids[0]
}

resource "aws_security_group" "functions" {
  #checkov:skip=CKV2_AWS_5:The functions attach it
  count = local._makes_group ? 1 : 0

  name        = "${var.name}-functions"
  description = "Functions of ${var.name}"
  tags        = var.tags
  vpc_id      = data.aws_subnet.first[0].vpc_id
}

resource "aws_vpc_security_group_egress_rule" "https" {
  count = local._makes_group ? 1 : 0

  security_group_id = aws_security_group.functions[0].id
  cidr_ipv4         = "0.0.0.0/0"
  description       = "HTTPS to AWS's services"
  from_port         = 443
  ip_protocol       = "tcp"
  tags              = var.tags
  to_port           = 443
}

resource "aws_vpc_security_group_egress_rule" "database" {
  count = local._makes_group && var.vector_store.kind == "aurora" ? 1 : 0

  security_group_id            = aws_security_group.functions[0].id
  description                  = "Postgres"
  from_port                    = 5432
  ip_protocol                  = "tcp"
  referenced_security_group_id = var.vector_store.security_group_ids[0]
  tags                         = var.tags
  to_port                      = 5432
}
