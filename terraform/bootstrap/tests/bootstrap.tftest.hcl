# The bootstrap: the state's bucket, and trust and permissions of the roles.

mock_provider "aws" {
  override_during = plan

  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }
  mock_data "aws_region" {
    defaults = { endpoint = "ec2.us-east-1.amazonaws.com" }
  }
  mock_resource "aws_iam_openid_connect_provider" {
    defaults = { arn = "arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com" }
  }
  mock_resource "aws_iam_policy" {
    defaults = { arn = "arn:aws:iam::123456789012:policy/alex-boundary" }
  }
  mock_resource "aws_s3_bucket" {
    defaults = { arn = "arn:aws:s3:::alex-state-123456789012-us-east-1", id = "alex-state-123456789012-us-east-1" }
  }
}

override_resource {
  target          = aws_iam_policy.pipeline["apply"]
  override_during = plan
  values          = { arn = "arn:aws:iam::123456789012:policy/alex-github-apply-pipeline" }
}

override_resource {
  target          = aws_iam_policy.pipeline["plan"]
  override_during = plan
  values          = { arn = "arn:aws:iam::123456789012:policy/alex-github-plan-pipeline" }
}

variables {
  name       = "alex"
  repository = "example/embeddings"
}

run "state" {
  command = plan

  assert {
    condition     = aws_s3_bucket.state.bucket == "alex-state-123456789012-us-east-1"
    error_message = "The bucket's name must contain project, account and region."
  }
  assert {
    condition = (
      aws_s3_bucket_versioning.state.versioning_configuration[0].status == "Enabled" &&
      (
        one(
          aws_s3_bucket_server_side_encryption_configuration.state.rule,
        ).apply_server_side_encryption_by_default[0].sse_algorithm ==
        "aws:kms"
      )
    )
    error_message = "The state must be versioned and encrypted."
  }
  assert {
    condition = (
      aws_s3_bucket_public_access_block.state.block_public_acls &&
      aws_s3_bucket_public_access_block.state.block_public_policy &&
      aws_s3_bucket_public_access_block.state.ignore_public_acls &&
      aws_s3_bucket_public_access_block.state.restrict_public_buckets
    )
    error_message = "The state's bucket must block public access."
  }
  assert {
    condition = (
      jsondecode(aws_s3_bucket_policy.state.policy).Statement ==
      [
        {
          Sid       = "RefusePlainText"
          Effect    = "Deny"
          Principal = "*"
          Action    = "s3:*"
          Resource = [
            "arn:aws:s3:::alex-state-123456789012-us-east-1",
            "arn:aws:s3:::alex-state-123456789012-us-east-1/*",
          ]
          Condition = { Bool = { "aws:SecureTransport" = "false" } }
        },
      ]
    )
    error_message = "The bucket must reject requests without TLS."
  }
  assert {
    condition = (
      strcontains(output.backend, "use_lockfile = true") &&
      strcontains(output.backend, "key          = \"alex/terraform.tfstate\"")
    )
    error_message = "The backend must use a lock file."
  }
}

run "trust_of_the_roles" {
  command = plan

  assert {
    condition = jsondecode(aws_iam_role.github["apply"].assume_role_policy).Statement == [{
      Sid       = "AllowRepository"
      Effect    = "Allow"
      Principal = { Federated = "arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com" }
      Action    = "sts:AssumeRoleWithWebIdentity"
      Condition = {
        StringEquals = {
          "token.actions.githubusercontent.com:aud" = "sts.amazonaws.com"
          "token.actions.githubusercontent.com:sub" = ["repo:example/embeddings:environment:production"]
        }
      }
    }]
    error_message = "Only a job in the protected environment of this repository may apply."
  }
  assert {
    condition = (
      jsondecode(
        aws_iam_role.github["plan"].assume_role_policy,
      ).Statement[0].Condition.StringEquals["token.actions.githubusercontent.com:sub"] ==
      ["repo:example/embeddings:pull_request", "repo:example/embeddings:ref:refs/heads/main"]
    )
    error_message = "Pull requests and the main branch of this repository may plan."
  }
  assert {
    condition = alltrue([
      for role in aws_iam_role.github :
      role.permissions_boundary == "arn:aws:iam::123456789012:policy/alex-boundary"
    ])
    error_message = "Both roles must have the permissions boundary."
  }
}

run "permissions_of_the_roles" {
  command = plan

  assert {
    condition = (
      [for statement in jsondecode(aws_iam_role_policy.plan.policy).Statement : statement.Sid] ==
      [
        "ReadSageMaker",
        "ReadRoles",
        "ReadLogGroups",
        "ReadStack",
        "ReadObservability",
        "ReadCosts",
        "ReadKeysImagesAndScaling",
        "ReadWhatIamCannotNarrow",
        "FindState",
        "HoldLock",
        "ReadState",
      ]
    )
    error_message = "A plan must read, and nothing else."
  }
  assert {
    # The lock is the only thing that a plan writes.
    condition = alltrue(flatten([
      for statement in jsondecode(aws_iam_role_policy.plan.policy).Statement :
      [
        for action in flatten([statement.Action]) :
        can(regex(":(Describe|Get|List|View)", action)) || statement.Sid == "HoldLock"
      ]
    ]))
    error_message = "A plan must change nothing."
  }
  assert {
    condition = (
      [
        for statement in jsondecode(aws_iam_role_policy.plan.policy).Statement :
        statement if statement.Sid == "HoldLock"
      ] ==
      [
        {
          Sid      = "HoldLock"
          Effect   = "Allow"
          Action   = ["s3:DeleteObject", "s3:GetObject", "s3:PutObject"]
          Resource = "arn:aws:s3:::alex-state-123456789012-us-east-1/*.tflock"
        },
      ]
    )
    error_message = "A plan must be able to lock."
  }
  assert {
    condition = (
      !strcontains(aws_iam_role_policy.plan.policy, "secretsmanager") &&
      !strcontains(aws_iam_role_policy.plan.policy, "arn:aws:s3:::*")
    )
    error_message = "A plan must see no data of others."
  }
  assert {
    condition = (
      [
        for statement in jsondecode(aws_iam_role_policy.apply.policy).Statement :
        statement if statement.Sid == "MakeBoundedRoles"
      ] ==
      [
        {
          Sid      = "MakeBoundedRoles"
          Effect   = "Allow"
          Action   = ["iam:CreateRole", "iam:PutRolePermissionsBoundary"]
          Resource = "arn:aws:iam::123456789012:role/embedstack/alex/*"
          Condition = {
            StringEquals = { "iam:PermissionsBoundary" = "arn:aws:iam::123456789012:policy/alex-boundary" }
          }
        },
      ]
    )
    error_message = "An apply may create only roles with the boundary."
  }
  assert {
    condition = (
      [
        for statement in jsondecode(aws_iam_role_policy.apply.policy).Statement :
        statement if statement.Sid == "PassRolesToSageMaker"
      ] ==
      [
        {
          Sid       = "PassRolesToSageMaker"
          Effect    = "Allow"
          Action    = "iam:PassRole"
          Resource  = "arn:aws:iam::123456789012:role/embedstack/alex/*"
          Condition = { StringEquals = { "iam:PassedToService" = "sagemaker.amazonaws.com" } }
        },
      ]
    )
    error_message = "Roles may be passed only to SageMaker."
  }
  assert {
    condition = (
      distinct(flatten([
        for statement in jsondecode(aws_iam_role_policy.apply.policy).Statement :
        statement.Resource
        if strcontains(jsonencode(statement.Action), "\"iam:") && statement.Sid != "MakeServicesRoles"
      ])) ==
      tolist(["arn:aws:iam::123456789012:role/embedstack/alex/*"])
    )
    error_message = "An apply must change only roles in the path that no other role has."
  }
  assert {
    condition = (
      sort([
        for statement in jsondecode(aws_iam_role_policy.apply.policy).Statement :
        statement.Sid if statement.Resource == "*" && statement.Effect == "Allow"
      ]) ==
      tolist(["MakeAnomalies", "ReadWhatIamCannotNarrow", "Unsubscribe"])
    )
    error_message = "Only these actions may have the resource \"*\"."
  }
  assert {
    condition = !anytrue([
      for statement in jsondecode(aws_iam_role_policy.apply.policy).Statement :
      anytrue([for action in flatten([statement.Action]) : can(regex("^kms:(Create|Tag|Untag|Put|Schedule)", action))])
    ])
    error_message = "An apply must not create keys, which requires tagging any."
  }
  assert {
    condition = (
      [
        for statement in jsondecode(aws_iam_policy.boundary.policy).Statement :
        statement.Sid if statement.Effect == "Deny"
      ] ==
      [
        "ChangeBoundedRolesOnly",
        "PassRolesToTheseServicesOnly",
        "ScaleSageMakerOnly",
        "NotifyByAlarmsOnly",
        "LeaveTheStateBucketAlone",
        "KeepTheBoundary",
      ]
    )
    error_message = "The boundary must deny what would leave it."
  }
  assert {
    condition = alltrue([
      for statement in jsondecode(aws_iam_policy.boundary.policy).Statement :
      statement.Condition == {
        StringNotEquals = { "iam:PermissionsBoundary" = "arn:aws:iam::123456789012:policy/alex-boundary" }
      } if statement.Sid == "ChangeBoundedRolesOnly"
    ])
    error_message = "A role with the boundary may create and change only roles with it."
  }
  assert {
    condition = alltrue(flatten([
      for statement in jsondecode(aws_iam_policy.pipeline["plan"].policy).Statement :
      [
        for action in flatten([statement.Action]) :
        can(regex(":(Describe|Get|List)", action)) && !endswith(action, "Object") && statement.Resource != "*"
      ]
    ]))
    error_message = "A plan must see how the pipeline is set up, and no document."
  }
  assert {
    condition = (
      sort([
        for statement in jsondecode(aws_iam_policy.pipeline["apply"].policy).Statement :
        statement.Sid if statement.Resource == "*"
      ]) ==
      tolist(["LookAtVpcs", "MakeQueueReaders"])
    )
    error_message = "Only these actions may have the resource \"*\"."
  }
  assert {
    condition = (
      !strcontains(aws_iam_policy.pipeline["apply"].policy, "GetSecretValue") &&
      (
        [
          for statement in jsondecode(aws_iam_policy.pipeline["apply"].policy).Statement :
          statement.Resource if statement.Sid == "ManageBucketOfDocuments"
        ] ==
        ["arn:aws:s3:::alex-pipeline-*"]
      )
    )
    error_message = "An apply must neither read the database's password nor change the bucket of the state."
  }
  assert {
    condition = (
      {
        for key, attachment in aws_iam_role_policy_attachment.pipeline :
        key => "${attachment.role} ${basename(attachment.policy_arn)}"
      } ==
      {
        apply      = "alex-github-apply alex-github-apply-pipeline"
        apply-read = "alex-github-apply alex-github-plan-pipeline"
        plan       = "alex-github-plan alex-github-plan-pipeline"
      }
    )
    error_message = "Only the apply role may change the pipeline."
  }
  assert {
    condition = (
      !strcontains(aws_iam_policy.boundary.policy, "\"*:*\"") &&
      !contains(
        flatten([for statement in jsondecode(aws_iam_policy.boundary.policy).Statement : try(statement.Action, [])]),
        "*",
      )
    )
    error_message = "The boundary must not allow everything."
  }
}

run "repository_with_ids" {
  command = plan

  variables {
    repository = "example@1234/embeddings@5678"
  }

  assert {
    condition = (
      local._subjects ==
      {
        apply = ["repo:example@1234/embeddings@5678:environment:production"]
        plan = [
          "repo:example@1234/embeddings@5678:pull_request",
          "repo:example@1234/embeddings@5678:ref:refs/heads/main",
        ]
      }
    )
    error_message = "Somebody else can register the name: only the ids identify the repository."
  }
}

run "repository_that_changes_to_ids" {
  command = plan

  variables {
    repository            = "example@1234/embeddings@5678"
    trust_repository_name = true
  }

  assert {
    condition = (
      local._subjects["apply"] ==
      [
        "repo:example@1234/embeddings@5678:environment:production",
        "repo:example/embeddings:environment:production",
      ]
    )
    error_message = "Both forms must be trusted, each exactly."
  }
  assert {
    condition = alltrue([
      for role in aws_iam_role.github :
      keys(jsondecode(role.assume_role_policy).Statement[0].Condition) == ["StringEquals"] &&
      !strcontains(role.assume_role_policy, "*")
    ])
    error_message = "A pattern could match the repository of another owner."
  }
}

run "existing_oidc_provider" {
  command = plan

  variables {
    async_output_buckets = ["my-answers"]
    artifact_buckets     = ["my-models"]
    cost_allocation_tags = ["Project"]
    create_oidc_provider = false
  }

  assert {
    condition = (
      length(aws_iam_openid_connect_provider.github) == 0 &&
      strcontains(
        aws_iam_role.github["plan"].assume_role_policy,
        "arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com",
      )
    )
    error_message = "The account's provider must be used."
  }
  assert {
    condition     = aws_ce_cost_allocation_tag.embeddings["Project"].status == "Active"
    error_message = "The tag must be activated."
  }
  assert {
    condition = jsondecode(aws_iam_role_policy.plan.policy).Statement[0] == {
      Sid      = "ReadArtifacts"
      Effect   = "Allow"
      Action   = ["s3:GetObject", "s3:GetObjectTagging"]
      Resource = ["arn:aws:s3:::my-models/*"]
    }
    error_message = "A plan must be able to look up packages, with the tags that the provider reads."
  }
  assert {
    condition = (
      [
        for statement in jsondecode(aws_iam_role_policy.apply.policy).Statement :
        statement if strcontains(jsonencode(statement), "my-answers")
      ] ==
      [
        { Sid = "ReadAnswers", Effect = "Allow", Action = "s3:GetObject", Resource = ["arn:aws:s3:::my-answers/*"] },
        { Sid = "FindAnswers", Effect = "Allow", Action = "s3:ListBucket", Resource = ["arn:aws:s3:::my-answers"] },
      ]
    )
    error_message = "An apply must be able to read the answers of asynchronous endpoints."
  }
}

run "longest_name" {
  command = plan

  variables {
    async_output_buckets = ["my-answers"]
    artifact_buckets     = ["my-models"]
    name                 = "twenty-four-characters-x"
  }

  assert {
    condition = alltrue([
      for policy in concat([aws_iam_policy.boundary], values(aws_iam_policy.pipeline)) :
      length(policy.policy) <= 6144
    ])
    error_message = "IAM takes managed policies of up to 6,144 characters."
  }
  assert {
    condition = alltrue([
      for policy in [aws_iam_role_policy.apply, aws_iam_role_policy.plan] :
      length(policy.policy) <= 10240
    ])
    error_message = "IAM takes up to 10,240 characters of inline policies for a role."
  }
}

run "repository_with_ids_of_any_owner" {
  command = plan

  variables {
    repository = "example@*/embeddings@*"
  }

  expect_failures = [var.repository]
}

run "repository_with_one_id" {
  command = plan

  variables {
    repository = "example@1234/embeddings"
  }

  expect_failures = [var.repository]
}

run "name_without_ids_trusted_twice" {
  command = plan

  variables {
    trust_repository_name = true
  }

  expect_failures = [var.trust_repository_name]
}

run "shared_arn_with_a_pattern" {
  command = plan

  variables {
    shared_arns = ["arn:aws:s3:::*"]
  }

  expect_failures = [var.shared_arns]
}

run "shared_arn_of_a_role" {
  command = plan

  variables {
    shared_arns = ["arn:aws:iam::123456789012:role/admin"]
  }

  expect_failures = [var.shared_arns]
}

run "more_shared_arns_than_a_policy_holds" {
  command = plan

  variables {
    shared_arns = [for number in range(20) : "arn:aws:s3:::a-bucket-with-a-long-name-${number}"]
  }

  expect_failures = [aws_iam_policy.boundary]
}

run "repository_with_a_pattern" {
  command = plan

  variables {
    repository = "example/*"
  }

  expect_failures = [var.repository]
}

run "repository_with_an_address" {
  command = plan

  variables {
    repository = "https://github.com/example/embeddings"
  }

  expect_failures = [var.repository]
}

run "any_branch" {
  command = plan

  variables {
    branch = "*"
  }

  expect_failures = [var.branch]
}

run "any_environment" {
  command = plan

  variables {
    github_environment = "*"
  }

  expect_failures = [var.github_environment]
}

run "name_that_aws_uses" {
  command = plan

  variables {
    name = "aws-cloudtrail"
  }

  expect_failures = [var.name]
}

run "name_with_capitals" {
  command = plan

  variables {
    name = "Alex"
  }

  expect_failures = [var.name]
}
