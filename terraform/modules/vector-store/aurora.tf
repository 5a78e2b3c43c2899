# Aurora PostgreSQL Serverless v2 with pgvector. It pauses at 0 ACUs without connections, and resumes with the first
# connection, in about 15 seconds. The library creates the extension and its tables.

locals {
  _has_aurora  = var.aurora != null
  _has_key     = try(var.aurora.kms_key_arn != null, false)
  _makes_group = try(length(var.aurora.vpc.security_group_ids) == 0, false)
  _port        = 5432

  _secret_arn = try(aws_rds_cluster.vectors[0].master_user_secret[0].secret_arn, null)

  security_group_ids = (
    !local._has_aurora ? [] :
    local._makes_group ? aws_security_group.vectors[*].id : var.aurora.vpc.security_group_ids
  )

  _reader_arn = one(aws_secretsmanager_secret.reader[*].arn)

  # The secret that RDS manages contains only user and password. libpq reads the rest from its own variables.
  _aurora_environment = !local._has_aurora ? null : {
    DATABASE_READER_SECRET_ARN = local._reader_arn
    DATABASE_SECRET_ARN        = local._secret_arn
    PGDATABASE                 = var.aurora.database
    PGHOST                     = one(aws_rds_cluster.vectors[*].endpoint)
    PGPORT                     = tostring(local._port)
    # "require" encrypts the connection without verifying the server.
    PGSSLMODE    = var.aurora.verify_server ? "verify-full" : "require"
    VECTOR_STORE = "postgres"
  }

  _aurora_reading_environment = !local._has_aurora ? null : {
    for name, value in local._aurora_environment :
    name => name == "DATABASE_SECRET_ARN" ? local._reader_arn : value
    if name != "DATABASE_READER_SECRET_ARN"
  }

  # Readers have a database user of their own, which may only read. Writers create it and its password.
  _aurora_statements = {
    for access, statements in {
      reading = [
        {
          Sid      = "ReadDatabaseSecret"
          Effect   = "Allow"
          Action   = "secretsmanager:GetSecretValue"
          Resource = local._reader_arn
          needed   = local._has_aurora
        },
        {
          Sid      = "DecryptDatabaseSecret"
          Effect   = "Allow"
          Action   = "kms:Decrypt"
          Resource = try(var.aurora.kms_key_arn, null)
          needed   = local._has_key
        },
      ]
      writing = [
        {
          Sid      = "ReadDatabaseSecret"
          Effect   = "Allow"
          Action   = "secretsmanager:GetSecretValue"
          Resource = local._secret_arn
          needed   = local._has_aurora
        },
        {
          Sid      = "MakeReader"
          Effect   = "Allow"
          Action   = ["secretsmanager:GetSecretValue", "secretsmanager:PutSecretValue"]
          Resource = local._reader_arn
          needed   = local._has_aurora
        },
        {
          Sid      = "UseKeyOfDatabaseSecrets"
          Effect   = "Allow"
          Action   = ["kms:Decrypt", "kms:GenerateDataKey"]
          Resource = try(var.aurora.kms_key_arn, null)
          needed   = local._has_key
        },
      ]
      } : access => [
      for statement in statements : { for key, value in statement : key => value if key != "needed" }
      if statement.needed
    ]
  }
}

# Without a value: the first ingestion creates the password, so that no state contains it.
resource "aws_secretsmanager_secret" "reader" {
  #checkov:skip=CKV_AWS_149:Secrets Manager encrypts with the account's key or aurora.kms_key_arn
  #checkov:skip=CKV2_AWS_57:The user may only read; README.md describes the rotation
  count = local._has_aurora ? 1 : 0

  name                    = "${var.name}-reader"
  description             = "Database user of ${var.name} that may only read"
  kms_key_id              = var.aurora.kms_key_arn
  recovery_window_in_days = var.aurora.deletion_protection ? 7 : 0
  tags                    = var.tags
}

data "aws_subnet" "first" {
  count = local._makes_group ? 1 : 0

  id = var.aurora.vpc.subnet_ids[0]
}

resource "aws_security_group" "vectors" {
  #checkov:skip=CKV2_AWS_5:The cluster attaches it
  count = local._makes_group ? 1 : 0

  name        = "${var.name}-database"
  description = "Database of ${var.name}"
  tags        = var.tags
  vpc_id      = data.aws_subnet.first[0].vpc_id
}

resource "aws_vpc_security_group_ingress_rule" "clients" {
  for_each = local._makes_group ? var.client_security_groups : {}

  security_group_id            = aws_security_group.vectors[0].id
  description                  = "Postgres for ${each.key}"
  from_port                    = local._port
  ip_protocol                  = "tcp"
  referenced_security_group_id = each.value
  tags                         = var.tags
  to_port                      = local._port
}

resource "aws_db_subnet_group" "vectors" {
  count = local._has_aurora ? 1 : 0

  name        = var.name
  description = "Subnets of ${var.name}"
  subnet_ids  = var.aurora.vpc.subnet_ids
  tags        = var.tags
}

resource "aws_rds_cluster_parameter_group" "vectors" {
  count = local._has_aurora ? 1 : 0

  name        = "${var.name}-postgresql${split(".", var.aurora.engine_version)[0]}"
  description = "Parameters of ${var.name}"
  family      = "aurora-postgresql${split(".", var.aurora.engine_version)[0]}"
  tags        = var.tags

  parameter {
    name  = "rds.force_ssl"
    value = "1"
  }
  parameter {
    # In milliseconds. A suspended function keeps its connection, and a connection prevents the database from pausing.
    name  = "idle_session_timeout"
    value = "60000"
  }
  parameter {
    # Otherwise the log contains error details, such as rows that violate a constraint.
    name  = "log_error_verbosity"
    value = "terse"
  }
  parameter {
    # Otherwise the log contains failed statements with their texts.
    name  = "log_min_error_statement"
    value = "panic"
  }

  lifecycle {
    # Another major version needs another family, and the cluster uses the old one until its upgrade.
    create_before_destroy = true
  }
}

# RDS would create the group on the first log line, without a retention period and unknown to Terraform.
resource "aws_cloudwatch_log_group" "vectors" {
  #checkov:skip=CKV_AWS_158:CloudWatch encrypts logs with its own key, and the database logs no texts
  #checkov:skip=CKV_AWS_338:The database's logs are for operation; log_retention_days = 365 keeps them for a year
  count = local._has_aurora ? 1 : 0

  name              = "/aws/rds/cluster/${var.name}/postgresql"
  retention_in_days = var.log_retention_days
  tags              = var.tags
}

resource "aws_rds_cluster" "vectors" {
  #checkov:skip=CKV_AWS_139:aurora.deletion_protection defaults to true
  #checkov:skip=CKV_AWS_327:RDS encrypts with the account's key or aurora.kms_key_arn
  #checkov:skip=CKV2_AWS_8:Aurora's own backups cover aurora.backup_days; the documents can be embedded again
  #checkov:skip=CKV2_AWS_27:A log of all statements would contain the texts
  count = local._has_aurora ? 1 : 0

  cluster_identifier                  = var.name
  allow_major_version_upgrade         = true
  backup_retention_period             = var.aurora.backup_days
  copy_tags_to_snapshot               = true
  database_name                       = var.aurora.database
  db_cluster_parameter_group_name     = aws_rds_cluster_parameter_group.vectors[0].name
  db_subnet_group_name                = aws_db_subnet_group.vectors[0].name
  deletion_protection                 = var.aurora.deletion_protection
  enable_http_endpoint                = var.aurora.data_api
  enabled_cloudwatch_logs_exports     = ["postgresql"]
  engine                              = "aurora-postgresql"
  engine_mode                         = "provisioned"
  engine_version                      = var.aurora.engine_version
  final_snapshot_identifier           = "${var.name}-final-${formatdate("YYYYMMDDhhmmss", plantimestamp())}"
  iam_database_authentication_enabled = true
  kms_key_id                          = var.aurora.kms_key_arn
  manage_master_user_password         = true
  master_user_secret_kms_key_id       = var.aurora.kms_key_arn
  master_username                     = "embedstack"
  port                                = local._port
  skip_final_snapshot                 = !var.aurora.deletion_protection
  storage_encrypted                   = true
  tags                                = var.tags
  vpc_security_group_ids              = local.security_group_ids

  serverlessv2_scaling_configuration {
    max_capacity             = var.aurora.max_acu
    min_capacity             = var.aurora.min_acu
    seconds_until_auto_pause = var.aurora.min_acu == 0 ? var.aurora.auto_pause_s : null
  }

  lifecycle {
    # The name is chosen at creation: a snapshot of an earlier cluster must not block the destroy.
    ignore_changes = [final_snapshot_identifier]
  }

  depends_on = [aws_cloudwatch_log_group.vectors]
}

resource "aws_rds_cluster_instance" "vectors" {
  #checkov:skip=CKV_AWS_118:Enhanced monitoring costs extra; CloudWatch has load, capacity and connections
  #checkov:skip=CKV_AWS_353:Performance Insights costs extra; CloudWatch has load, capacity and connections
  #checkov:skip=CKV_AWS_354:Performance Insights is off
  count = local._has_aurora ? 1 : 0

  identifier                 = "${var.name}-1"
  auto_minor_version_upgrade = true
  cluster_identifier         = aws_rds_cluster.vectors[0].id
  copy_tags_to_snapshot      = true
  db_subnet_group_name       = aws_db_subnet_group.vectors[0].name
  engine                     = aws_rds_cluster.vectors[0].engine
  engine_version             = aws_rds_cluster.vectors[0].engine_version
  instance_class             = "db.serverless"
  publicly_accessible        = false
  tags                       = var.tags
}
