# GitHub Actions receive short-lived credentials through OpenID Connect, so that GitHub stores no AWS key. The token's
# subject (sub) decides which role a job may assume. It must match exactly: a pattern could match other repositories.
#
# A subject names the repository as owner/name or, for repositories created, renamed or transferred since 2026-07-15,
# as owner@id/name@id. Ids are never reused; a name that became free can be registered by another owner.

locals {
  _host = "token.actions.githubusercontent.com"

  _provider_arn = (
    var.create_oidc_provider ? aws_iam_openid_connect_provider.github[0].arn :
    "arn:${local._partition}:iam::${local._account}:oidc-provider/${local._host}"
  )

  _repositories = distinct(concat(
    [var.repository],
    var.trust_repository_name ? [replace(var.repository, "/@\\d+/", "")] : [],
  ))

  _jobs = {
    # Only a job in the protected environment changes anything.
    apply = ["environment:${var.github_environment}"]
    # Pull requests plan, and the nightly drift check runs on the main branch.
    plan = ["pull_request", "ref:refs/heads/${var.branch}"]
  }
  _subjects = {
    for role, jobs in local._jobs : role => [
      for pair in setproduct(local._repositories, jobs) : "repo:${pair[0]}:${pair[1]}"
    ]
  }
}

resource "aws_iam_openid_connect_provider" "github" {
  count = var.create_oidc_provider ? 1 : 0

  client_id_list = ["sts.amazonaws.com"]
  url            = "https://${local._host}"
}

resource "aws_iam_role" "github" {
  for_each = local._subjects

  name                 = "${var.name}-github-${each.key}"
  description          = "Assumed by GitHub Actions of ${var.repository} to ${each.key}"
  max_session_duration = 7200
  permissions_boundary = aws_iam_policy.boundary.arn

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "AllowRepository"
        Effect    = "Allow"
        Principal = { Federated = local._provider_arn }
        Action    = "sts:AssumeRoleWithWebIdentity"
        Condition = {
          StringEquals = {
            "${local._host}:aud" = "sts.amazonaws.com"
            "${local._host}:sub" = each.value
          }
        }
      },
    ]
  })
}

resource "aws_iam_role_policy" "plan" {
  name = "plan"
  role = aws_iam_role.github["plan"].name

  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = concat(local._read_statements, local._state_statements)
  })
}

resource "aws_iam_role_policy" "apply" {
  name = "apply"
  role = aws_iam_role.github["apply"].name

  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = concat(local._read_statements, local._state_statements, local._write_statements)
  })
}
