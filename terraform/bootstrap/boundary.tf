# The most that the roles of this project can ever do, whatever their policies say: it is on the two roles here, and no
# role that has it can make a role without it. What must hold for the roles that an apply makes is therefore said here,
# and not in the apply role's policy: such a role's own policy is whatever the Terraform code writes.

locals {
  _boundary_arn = "arn:${local._partition}:iam::${local._account}:policy/${var.name}-boundary"
}

resource "aws_iam_policy" "boundary" {
  #checkov:skip=CKV_AWS_355:A boundary grants nothing, and names services, not resources
  #checkov:skip=CKV_AWS_290:The same
  #checkov:skip=CKV_AWS_289:The same
  #checkov:skip=CKV_AWS_288:The same
  #checkov:skip=CKV_AWS_287:The same
  #checkov:skip=CKV_AWS_286:The same
  name        = "${var.name}-boundary"
  description = "Bounds every role of ${var.name}"

  # A managed policy may have 6,144 characters.
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        # Services rather than actions, as a boundary gives nothing, and what is given is written in the roles' policies;
        # actions where a service has some that run code in the name of a role that is there already.
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
        # IAM tells of these the boundary that is asked for, or that the role has: a role that has none, or another, is
        # not to be made, and not to be given anything.
        Sid       = "ChangeBoundedRolesOnly"
        Effect    = "Deny"
        Action    = ["iam:AttachRolePolicy", "iam:CreateRole", "iam:DeleteRolePolicy", "iam:DetachRolePolicy", "iam:PutRolePermissionsBoundary", "iam:PutRolePolicy"]
        Resource  = "*"
        Condition = { StringNotEquals = { "iam:PermissionsBoundary" = local._boundary_arn } }
      },
      {
        Sid      = "LeaveTheBoundaryAlone"
        Effect   = "Deny"
        Action   = ["iam:CreatePolicyVersion", "iam:DeletePolicy", "iam:DeletePolicyVersion", "iam:DeleteRolePermissionsBoundary", "iam:SetDefaultPolicyVersion"]
        Resource = "*"
      },
      {
        # Neither what the roles here may do nor who may assume them: that is for whoever applies this.
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
        # Another's stacks and functions act in the name of their own roles, which nothing may bound.
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
