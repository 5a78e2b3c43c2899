# Permissions for the containers' network interfaces in a VPC of the account.

locals {
  _ec2         = "arn:${local._partition}:ec2:${local._region}:${local._account}"
  _subnet_arns = try([for id in var.vpc.subnet_ids : "${local._ec2}:subnet/${id}"], [])

  _network_statements = [
    for statement in [
      {
        Sid    = "CreateInterfaces"
        Effect = "Allow"
        Action = "ec2:CreateNetworkInterface"
        Resource = concat(
          ["${local._ec2}:network-interface/*"],
          try([for id in var.vpc.security_group_ids : "${local._ec2}:security-group/${id}"], []),
          local._subnet_arns,
        )
      },
      {
        # An interface has no known id before its creation, but a known subnet.
        Sid    = "ManageInterfaces"
        Effect = "Allow"
        Action = [
          "ec2:CreateNetworkInterfacePermission",
          "ec2:DeleteNetworkInterface",
          "ec2:DeleteNetworkInterfacePermission",
        ]
        Resource  = "${local._ec2}:network-interface/*"
        Condition = { ArnEquals = { "ec2:Subnet" = local._subnet_arns } }
      },
      {
        # EC2's Describe actions support no resource.
        Sid    = "LookAtNetwork"
        Effect = "Allow"
        Action = [
          "ec2:DescribeDhcpOptions",
          "ec2:DescribeNetworkInterfaces",
          "ec2:DescribeSecurityGroups",
          "ec2:DescribeSubnets",
          "ec2:DescribeVpcs",
        ]
        Resource = "*"
      },
    ] : statement if var.vpc != null
  ]
}
