# The most that the roles of this project can ever do, whatever their policies say: it is on the two roles here, and the
# apply role can make no other role without it.

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

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        # Services rather than actions: a boundary gives nothing, and what is given is written in the roles' policies.
        Sid    = "StayAmongTheseServices"
        Effect = "Allow"
        Action = [
          "application-autoscaling:*",
          "budgets:*",
          "ce:*",
          "cloudformation:*",
          "cloudwatch:*",
          "ec2:*NetworkInterface*",
          "ec2:AssignPrivateIpAddresses",
          "ec2:Describe*",
          "ec2:UnassignPrivateIpAddresses",
          "ecr:BatchCheckLayerAvailability",
          "ecr:BatchGetImage",
          "ecr:DescribeImages",
          "ecr:GetAuthorizationToken",
          "ecr:GetDownloadUrlForLayer",
          "iam:*Role*",
          "kms:*",
          "lambda:*",
          "logs:*",
          "rds:*",
          "s3:*Bucket*",
          "s3:*Configuration",
          "s3:*Object*",
          "s3:AbortMultipartUpload",
          "s3vectors:*",
          "sagemaker:*",
          "secretsmanager:*",
          "sns:*",
          "sqs:*",
          "sts:GetCallerIdentity",
          "xray:Put*",
        ]
        Resource = "*"
      },
      {
        Sid      = "LeaveTheBoundaryAlone"
        Effect   = "Deny"
        Action   = ["iam:CreatePolicyVersion", "iam:DeletePolicy", "iam:DeletePolicyVersion", "iam:DeleteRolePermissionsBoundary", "iam:SetDefaultPolicyVersion"]
        Resource = "*"
      },
      {
        Sid    = "StayInTheProject"
        Effect = "Deny"
        Action = ["iam:*Role", "iam:*RolePolicy", "iam:PassRole"]
        NotResource = [
          "arn:${local._partition}:iam::${local._account}:role/${local._named}",
          "arn:${local._partition}:iam::${local._account}:role/aws-service-role/*",
        ]
      },
    ]
  })
}
