# The vector store: S3 Vectors, or Aurora with pgvector.

mock_provider "aws" {
  source          = "./tests/mocks"
  override_during = plan
}

variables {
  name = "alex-vectors"
}

run "vector_bucket" {
  command = plan
  module { source = "./modules/vector-store" }

  variables {
    s3_vectors = {}
  }

  assert {
    condition = jsondecode(aws_cloudformation_stack.vectors[0].template_body).Resources == {
      VectorBucket = {
        Type                = "AWS::S3Vectors::VectorBucket"
        DeletionPolicy      = "Retain"
        UpdateReplacePolicy = "Retain"
        Properties          = { VectorBucketName = "alex-vectors" }
      }
    }
    error_message = "The stack must contain only the bucket and retain it."
  }
  assert {
    condition = (
      (
        length(aws_rds_cluster.vectors) +
        length(aws_security_group.vectors) +
        length(aws_cloudwatch_log_group.vectors)
      ) ==
      0
    )
    error_message = "There must be no database."
  }
  assert {
    condition = (
      output.environment == tomap({ VECTOR_BUCKET = "alex-vectors", VECTOR_STORE = "s3vectors" }) &&
      output.kind == "s3_vectors" &&
      output.arn == "arn:aws:s3vectors:us-east-1:123456789012:bucket/alex-vectors"
    )
    error_message = "The library must find the bucket."
  }
  assert {
    condition = alltrue([
      for statement in output.writing_statements :
      alltrue([
        for resource in flatten([statement.Resource]) :
        startswith(resource, "arn:aws:s3vectors:us-east-1:123456789012:bucket/alex-vectors")
      ])
    ])
    error_message = "The role must have no access outside the bucket."
  }
  assert {
    condition = (
      setsubtract(flatten(output.writing_statements[*].Action), flatten(output.reading_statements[*].Action)) ==
      toset([
        "s3vectors:CreateIndex",
        "s3vectors:DeleteVectors",
        "s3vectors:ListVectors",
        "s3vectors:PutVectors",
        "s3vectors:TagResource",
        "s3vectors:UpdateIndexMode",
        "s3vectors:UpdateMetadataConfiguration",
      ])
    )
    error_message = "The search role must not write."
  }
}

run "vector_bucket_with_a_key_and_without_retain" {
  command = plan
  module { source = "./modules/vector-store" }

  variables {
    s3_vectors = {
      bucket_name = "my-vectors"
      kms_key_arn = "arn:aws:kms:us-east-1:123456789012:key/mocked"
      retain      = false
    }
  }

  assert {
    condition = jsondecode(aws_cloudformation_stack.vectors[0].template_body).Resources.VectorBucket == {
      Type                = "AWS::S3Vectors::VectorBucket"
      DeletionPolicy      = "Delete"
      UpdateReplacePolicy = "Retain"
      Properties = {
        EncryptionConfiguration = { KmsKeyArn = "arn:aws:kms:us-east-1:123456789012:key/mocked", SseType = "aws:kms" }
        VectorBucketName        = "my-vectors"
      }
    }
    error_message = "The bucket must be encrypted with the key, and deleted by a destroy."
  }
  assert {
    condition = (
      (
        [
          for statement in output.reading_statements :
          "${statement.Action} ${statement.Resource}" if strcontains(jsonencode(statement.Action), "kms:")
        ] ==
        ["kms:Decrypt arn:aws:kms:us-east-1:123456789012:key/mocked"]
      ) &&
      (
        [
          for statement in output.writing_statements :
          "${statement.Action} ${statement.Resource}" if statement.Sid == "EncryptVectors"
        ] ==
        ["kms:GenerateDataKey arn:aws:kms:us-east-1:123456789012:key/mocked"]
      )
    )
    error_message = "Readers must be able to decrypt vectors, and writers to encrypt them."
  }
}

run "existing_vector_bucket" {
  command = plan
  module { source = "./modules/vector-store" }

  variables {
    s3_vectors = { create = false }
  }

  assert {
    condition = (
      length(aws_cloudformation_stack.vectors) == 0 &&
      output.environment["VECTOR_BUCKET"] == "alex-vectors"
    )
    error_message = "An existing bucket must not be created."
  }
}

run "aurora" {
  command = plan
  module { source = "./modules/vector-store" }

  variables {
    aurora = {
      kms_key_arn = "arn:aws:kms:us-east-1:123456789012:key/mocked"
      vpc         = { subnet_ids = ["subnet-0123456789abcdef0", "subnet-0fedcba9876543210"] }
    }
    client_security_groups = { functions = "sg-0fedcba9876543210" }
  }

  assert {
    condition     = length(aws_cloudformation_stack.vectors) == 0 && output.kind == "aurora"
    error_message = "There must be no bucket."
  }
  assert {
    condition = (
      aws_rds_cluster.vectors[0].serverlessv2_scaling_configuration[0].min_capacity == 0 &&
      aws_rds_cluster.vectors[0].serverlessv2_scaling_configuration[0].max_capacity == 2 &&
      aws_rds_cluster.vectors[0].serverlessv2_scaling_configuration[0].seconds_until_auto_pause == 300 &&
      aws_rds_cluster_instance.vectors[0].instance_class == "db.serverless"
    )
    error_message = "It must pause after five minutes."
  }
  assert {
    condition     = can(regex("^alex-vectors-final-\\d{14}$", aws_rds_cluster.vectors[0].final_snapshot_identifier))
    error_message = "Each cluster's final snapshot must have a unique name."
  }
  assert {
    condition = (
      aws_rds_cluster.vectors[0].storage_encrypted &&
      aws_rds_cluster.vectors[0].manage_master_user_password &&
      aws_rds_cluster.vectors[0].kms_key_id == var.aurora.kms_key_arn &&
      aws_rds_cluster.vectors[0].master_user_secret_kms_key_id == var.aurora.kms_key_arn &&
      aws_rds_cluster.vectors[0].deletion_protection &&
      !aws_rds_cluster.vectors[0].skip_final_snapshot &&
      !aws_rds_cluster.vectors[0].enable_http_endpoint
    )
    error_message = "The cluster must be encrypted and protected, with a managed password."
  }
  assert {
    condition = (
      aws_rds_cluster_parameter_group.vectors[0].family == "aurora-postgresql17" &&
      (
        {
          for parameter in aws_rds_cluster_parameter_group.vectors[0].parameter :
          parameter.name => parameter.value
        } ==
        {
          idle_session_timeout    = "60000"
          log_error_verbosity     = "terse"
          log_min_error_statement = "panic"
          "rds.force_ssl"         = "1"
        }
      )
    )
    error_message = "TLS must be required, idle sessions closed, and texts excluded from the log."
  }
  assert {
    condition = (
      (
        aws_vpc_security_group_ingress_rule.clients["functions"].referenced_security_group_id ==
        "sg-0fedcba9876543210"
      ) &&
      length(aws_vpc_security_group_ingress_rule.clients) == 1
    )
    error_message = "Only the functions may connect."
  }
  assert {
    condition = output.environment == tomap({
      DATABASE_READER_SECRET_ARN = "arn:aws:secretsmanager:us-east-1:123456789012:secret:alex-vectors-reader-mocked"
      DATABASE_SECRET_ARN        = "arn:aws:secretsmanager:us-east-1:123456789012:secret:rds!cluster-mocked"
      PGDATABASE                 = "embedstack"
      PGHOST                     = "mocked.cluster-abc.us-east-1.rds.amazonaws.com"
      PGPORT                     = "5432"
      PGSSLMODE                  = "verify-full"
      VECTOR_STORE               = "postgres"
    })
    error_message = "The library must find the database."
  }
  assert {
    condition = output.reading_environment == tomap({
      DATABASE_SECRET_ARN = "arn:aws:secretsmanager:us-east-1:123456789012:secret:alex-vectors-reader-mocked"
      PGDATABASE          = "embedstack"
      PGHOST              = "mocked.cluster-abc.us-east-1.rds.amazonaws.com"
      PGPORT              = "5432"
      PGSSLMODE           = "verify-full"
      VECTOR_STORE        = "postgres"
    })
    error_message = "Searches must use the user that may only read."
  }
  assert {
    condition = (
      jsonencode(output.reading_statements) ==
      jsonencode([
        {
          Sid      = "ReadDatabaseSecret"
          Effect   = "Allow"
          Action   = "secretsmanager:GetSecretValue"
          Resource = "arn:aws:secretsmanager:us-east-1:123456789012:secret:alex-vectors-reader-mocked"
        },
        {
          Sid      = "DecryptDatabaseSecret"
          Effect   = "Allow"
          Action   = "kms:Decrypt"
          Resource = "arn:aws:kms:us-east-1:123456789012:key/mocked"
        },
      ])
    )
    error_message = "The role of searches may read the reader's secret, and not that of the database's owner."
  }
  assert {
    condition = (
      [
        for statement in output.writing_statements :
        "${statement.Sid} ${join(",", flatten([statement.Action]))} ${basename(replace(statement.Resource, ":", "/"))}"
      ] ==
      [
        "ReadDatabaseSecret secretsmanager:GetSecretValue rds!cluster-mocked",
        "MakeReader secretsmanager:GetSecretValue,secretsmanager:PutSecretValue alex-vectors-reader-mocked",
        "UseKeyOfDatabaseSecrets kms:Decrypt,kms:GenerateDataKey mocked",
      ]
    )
    error_message = "The role of ingestion must be able to create the reader's password."
  }
}

run "aurora_without_certificate_verification" {
  command = plan
  module { source = "./modules/vector-store" }

  variables {
    aurora = { verify_server = false, vpc = { subnet_ids = ["subnet-0123456789abcdef0", "subnet-0fedcba9876543210"] } }
  }

  assert {
    condition     = output.environment["PGSSLMODE"] == "require"
    error_message = "verify_server = false must disable certificate verification."
  }
}

run "two_stores" {
  command = plan
  module { source = "./modules/vector-store" }

  variables {
    aurora     = { vpc = { subnet_ids = ["subnet-0123456789abcdef0", "subnet-0fedcba9876543210"] } }
    name       = "Alex_vectors"
    s3_vectors = {}
  }

  expect_failures = [var.aurora, var.name]
}

run "database_without_pgvector_0_8" {
  command = plan
  module { source = "./modules/vector-store" }

  variables {
    aurora = {
      engine_version = "16.4"
      vpc            = { subnet_ids = ["subnet-0123456789abcdef0", "subnet-0fedcba9876543210"] }
    }
  }

  expect_failures = [var.aurora]
}

run "invalid_bucket_name" {
  command = plan
  module { source = "./modules/vector-store" }

  variables {
    s3_vectors = { bucket_name = "my_vectors" }
  }

  expect_failures = [var.s3_vectors]
}
