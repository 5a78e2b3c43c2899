# The permissions boundary of the two roles here and of every role that an apply creates: a role with it cannot create
# a role without it. Rules for the roles that an apply creates belong here and not in the apply role's policy, because
# their own policies are whatever the Terraform code contains.

locals {
  _boundary_arn = "arn:${local._partition}:iam::${local._account}:policy/${var.name}-boundary"
}

resource "aws_iam_policy" "boundary" {
  #checkov:skip=CKV_AWS_355:A boundary grants nothing, and lists services, not resources
  #checkov:skip=CKV_AWS_290:A boundary grants nothing
  #checkov:skip=CKV_AWS_289:A boundary grants nothing
  #checkov:skip=CKV_AWS_288:A boundary grants nothing
  #checkov:skip=CKV_AWS_287:A boundary grants nothing
  #checkov:skip=CKV_AWS_286:A boundary grants nothing
  name        = "${var.name}-boundary"
  description = "Bounds every role of ${var.name}"

  # A managed policy can have 6,144 characters.
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        # Services rather than actions, because a boundary grants nothing: the roles' policies do. Single actions for
        # services with actions that run code with an existing role.
        Sid    = "StayAmongTheseServices"
        Effect = "Allow"
        Action = [
          "application-autoscaling:*",
          "budgets:*",
          "ce:*",
          "cloudformation:*Stack",
          "cloudformation:*agResource",
          "cloudformation:DescribeStack*",
          "cloudformation:GetTemplate",
          "cloudwatch:*",
          "ec2:*NetworkInterface*",
          "ec2:AssignPrivateIpAddresses",
          "ec2:Describe*",
          "ec2:UnassignPrivateIpAddresses",
          "ecr:BatchCheckLayerAvailability",
          "ecr:BatchGetImage",
          "ecr:DescribeImages",
          "ecr:DescribeRepositories",
          "ecr:GetAuthorizationToken",
          "ecr:GetDownloadUrlForLayer",
          "iam:*agRole",
          "iam:CreateRole",
          "iam:CreateServiceLinkedRole",
          "iam:DeleteRole",
          "iam:DeleteRolePolicy",
          "iam:GetRole*",
          "iam:List*Role*",
          "iam:PassRole",
          "iam:PutRole*",
          "iam:UpdateAssumeRolePolicy",
          "iam:UpdateRole*",
          "kms:*",
          "lambda:*",
          "logs:*",
          "rds:*",
          "s3:*Bucket*",
          "s3:*Configuration",
          "s3:*Object*",
          "s3:AbortMultipartUpload",
          "s3vectors:*",
          "sagemaker:*Endpoint*",
          "sagemaker:*InferenceComponent*",
          "sagemaker:*Model",
          "sagemaker:*Tags",
          "secretsmanager:*",
          "sns:*",
          "sqs:*",
          "sts:GetCallerIdentity",
          "xray:Put*",
        ]
        Resource = "*"
      },
      {
        # For these actions IAM knows the boundary of the request or of the role. A role without this boundary must not
        # be created or receive permissions.
        Sid    = "ChangeBoundedRolesOnly"
        Effect = "Deny"
        Action = [
          "iam:AttachRolePolicy",
          "iam:CreateRole",
          "iam:DeleteRolePolicy",
          "iam:DetachRolePolicy",
          "iam:PutRolePermissionsBoundary",
          "iam:PutRolePolicy",
        ]
        Resource  = "*"
        Condition = { StringNotEquals = { "iam:PermissionsBoundary" = local._boundary_arn } }
      },
      {
        Sid    = "LeaveTheBoundaryAlone"
        Effect = "Deny"
        Action = [
          "iam:CreatePolicyVersion",
          "iam:DeletePolicy",
          "iam:DeletePolicyVersion",
          "iam:DeleteRolePermissionsBoundary",
          "iam:SetDefaultPolicyVersion",
        ]
        Resource = "*"
      },
      {
        # Only an apply of this bootstrap may change these roles.
        Sid    = "LeaveRolesOfGitHubAlone"
        Effect = "Deny"
        Action = [
          "iam:AttachRolePolicy",
          "iam:CreateRole",
          "iam:DeleteRole*",
          "iam:DetachRolePolicy",
          "iam:PassRole",
          "iam:PutRole*",
          "iam:TagRole",
          "iam:UntagRole",
          "iam:UpdateAssumeRolePolicy",
          "iam:UpdateRole*",
        ]
        Resource = "arn:${local._partition}:iam::${local._account}:role/${var.name}-github-*"
      },
      {
        # Stacks and functions of other projects use their own roles, which may have no boundary.
        Sid    = "StayInTheProject"
        Effect = "Deny"
        Action = ["cloudformation:*Stack", "iam:*", "lambda:*Function*", "lambda:*Permission", "secretsmanager:*"]
        NotResource = [
          "arn:${local._partition}:cloudformation:*:${local._account}:stack/${local._named}",
          "arn:${local._partition}:iam::${local._account}:role/${local._named}",
          "arn:${local._partition}:iam::${local._account}:role/aws-service-role/*",
          "arn:${local._partition}:lambda:*:${local._account}:function:${local._named}",
          "arn:${local._partition}:secretsmanager:*:${local._account}:secret:rds!cluster-*",
        ]
      },
    ]
  })
}
