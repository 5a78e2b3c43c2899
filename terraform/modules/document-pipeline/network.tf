# In a VPC, the functions call AWS services through interface endpoints (sagemaker.runtime, sqs, secretsmanager,
# s3vectors, xray) and a gateway endpoint for S3, or through a NAT gateway. They connect to the database directly.

locals {
  security_group_ids = module.security_group.security_group_ids

  _ec2 = "arn:${local._partition}:ec2:${local._region}:${local._account}"
  _function_arns = [
    for function in ["ingest", "search"] :
    "arn:${local._partition}:lambda:${local._region}:${local._account}:function:${var.name}-${function}"
  ]

  # Lambda creates the interfaces with the function's role.
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
        # Lambda requires these permissions for all interfaces, before one exists.
        Sid      = "ManageInterfaces"
        Effect   = "Allow"
        Action   = ["ec2:AssignPrivateIpAddresses", "ec2:DeleteNetworkInterface", "ec2:UnassignPrivateIpAddresses"]
        Resource = "${local._ec2}:network-interface/*"
      },
      {
        # EC2's Describe actions support no resource.
        Sid      = "LookAtNetwork"
        Effect   = "Allow"
        Action   = ["ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets"]
        Resource = "*"
      },
      {
        # The permissions are for Lambda itself, not for the code of the functions.
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

module "security_group" {
  source = "../egress-security-group"

  name              = "${var.name}-functions"
  description       = "Functions of ${var.name}"
  https_description = "HTTPS to AWS's services"
  tags              = var.tags
  vpc               = var.vpc
}

resource "aws_vpc_security_group_egress_rule" "database" {
  count = module.security_group.created && var.vector_store.kind == "aurora" ? 1 : 0

  security_group_id            = local.security_group_ids[0]
  description                  = "Postgres"
  from_port                    = 5432
  ip_protocol                  = "tcp"
  referenced_security_group_id = var.vector_store.security_group_ids[0]
  tags                         = var.tags
  to_port                      = 5432
}
