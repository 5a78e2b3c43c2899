variable "aurora" {
  description = "Aurora PostgreSQL Serverless v2 with pgvector; null if s3_vectors is set."
  type = object({
    # Seconds without connections before the database pauses, 300 to 86400; with min_acu = 0.
    auto_pause_s = optional(number, 300)
    # Days of backups, 1 to 35.
    backup_days = optional(number, 7)
    # Whether SQL can run over HTTPS (Data API).
    data_api = optional(bool, false)
    # Name of the database.
    database = optional(string, "embedstack")
    # Whether a destroy is rejected; without protection, a destroy takes no final snapshot.
    deletion_protection = optional(bool, true)
    # Major version, whose minor version RDS updates, or full version.
    engine_version = optional(string, "17")
    # ARN of the KMS key of storage and secret; defaults to AWS's keys.
    kms_key_arn = optional(string)
    # Largest capacity in ACUs, 1 to 256; one ACU has 2 GiB of memory.
    max_acu = optional(number, 2)
    # Smallest capacity in ACUs; 0 lets the database pause.
    min_acu = optional(number, 0)
    # Whether clients verify the database's certificate, with RDS's certificates (PGSSLROOTCERT).
    verify_server = optional(bool, true)
    # VPC of the database.
    vpc = object({
      # Security group ids; without any, a group is created for client_security_groups.
      security_group_ids = optional(list(string), [])
      # Subnet ids in at least two availability zones.
      subnet_ids = list(string)
    })
  })
  default = null

  validation {
    condition = (var.aurora == null) != (var.s3_vectors == null)
    error_message = join(" ", [
      "Set exactly one of s3_vectors = {} (billed by storage and requests) and aurora = { vpc = { subnet_ids =",
      "[\"subnet-…\", \"subnet-…\"] } } (Postgres with pgvector, billed by capacity).",
    ])
  }
  validation {
    condition     = var.aurora == null ? true : length(distinct(var.aurora.vpc.subnet_ids)) >= 2
    error_message = "aurora.vpc.subnet_ids must have subnets in at least two availability zones, which RDS requires."
  }
  validation {
    condition = var.aurora == null ? true : alltrue([
      var.aurora.min_acu >= 0,
      var.aurora.max_acu >= max(1, var.aurora.min_acu),
      var.aurora.max_acu <= 256,
      floor(var.aurora.min_acu * 2) == var.aurora.min_acu * 2,
      floor(var.aurora.max_acu * 2) == var.aurora.max_acu * 2,
    ])
    error_message = join(" ", [
      "aurora.min_acu must be 0 or more and aurora.max_acu from 1 to 256, in steps of 0.5, with min_acu at most",
      "max_acu. One ACU has about 2 GiB of memory, which should hold the index.",
    ])
  }
  validation {
    condition = (
      var.aurora == null ? true :
      var.aurora.auto_pause_s >= 300 &&
      var.aurora.auto_pause_s <= 86400 &&
      floor(var.aurora.auto_pause_s) == var.aurora.auto_pause_s
    )
    error_message = join(" ", [
      "aurora.auto_pause_s must be whole seconds from 300 to 86400, a day.",
      "To never pause, set min_acu = 0.5.",
    ])
  }
  validation {
    condition = (
      var.aurora == null ? true :
      can(regex("^(1[5-9]|2[0-9])(\\.\\d+)?$", var.aurora.engine_version)) &&
      !can(regex("^(15\\.([0-9]|1[01])|16\\.[0-7]|17\\.[0-3])$", var.aurora.engine_version))
    )
    error_message = join(" ", [
      "aurora.engine_version must be a major version such as 17, or a full one from 15.12, 16.8 or 17.4: older",
      "ones lack pgvector 0.8, which filtered searches need.",
    ])
  }
  validation {
    condition = (
      var.aurora == null ? true :
      var.aurora.backup_days >= 1 &&
      var.aurora.backup_days <= 35 &&
      floor(var.aurora.backup_days) == var.aurora.backup_days
    )
    error_message = "aurora.backup_days must be whole days from 1 to 35."
  }
  validation {
    condition = var.aurora == null ? true : can(regex("^[a-z][a-z0-9_]{0,62}$", var.aurora.database))
    error_message = join(" ", [
      "aurora.database must begin with a letter and have up to 63 lowercase",
      "letters, digits and underscores.",
    ])
  }
  validation {
    condition = (
      try(var.aurora.kms_key_arn, null) == null ? true :
      can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:\\d{12}:key/.+$", var.aurora.kms_key_arn))
    )
    error_message = "aurora.kms_key_arn must be a key's ARN, not an alias: arn:aws:kms:<region>:<account>:key/<id>."
  }
}

variable "client_security_groups" {
  description = "Ids of security groups that may connect to the database, by owner."
  type        = map(string)
  default     = {}
  nullable    = false
}

variable "log_retention_days" {
  description = "Days for which logs are kept; 0 keeps them forever."
  type        = number
  default     = 30
  nullable    = false

  validation {
    condition = contains(
      [0, 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653],
      var.log_retention_days,
    )
    error_message = join(" ", [
      "${var.name}: log_retention_days must be a period that CloudWatch offers: 1, 3, 5, 7, 14, 30, 60, 90, 120,",
      "150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288 or 3653 days, or 0 to keep logs forever.",
    ])
  }
}

variable "name" {
  description = "Name of the database cluster, and default name of the vector bucket."
  type        = string
  nullable    = false

  validation {
    condition = can(regex("^[a-z](-?[a-z0-9])*$", var.name)) && length(var.name) >= 3 && length(var.name) <= 50
    error_message = join(" ", [
      "The store's name \"${var.name}\" must begin with a letter and have 3 to 50 lowercase letters, digits and",
      "single hyphens, which RDS and S3 Vectors require.",
    ])
  }
}

variable "s3_vectors" {
  description = "A vector bucket of S3 Vectors; null if aurora is set."
  type = object({
    # Name of the bucket, which cannot change; defaults to name.
    bucket_name = optional(string)
    # Whether to create the bucket; false uses an existing one.
    create = optional(bool, true)
    # ARN of the KMS key, which cannot change; defaults to S3's key.
    kms_key_arn = optional(string)
    # Whether a destroy keeps the bucket and its vectors; otherwise the bucket must be empty.
    retain = optional(bool, true)
  })
  default = null

  validation {
    condition = (
      try(var.s3_vectors.bucket_name, null) == null ? true :
      can(regex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", var.s3_vectors.bucket_name))
    )
    error_message = join(" ", [
      "s3_vectors.bucket_name must have 3 to 63 lowercase letters, digits and hyphens, with no hyphen at either",
      "end.",
    ])
  }
  validation {
    condition = (
      try(var.s3_vectors.kms_key_arn, null) == null ? true :
      can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:\\d{12}:key/.+$", var.s3_vectors.kms_key_arn))
    )
    error_message = join(" ", [
      "s3_vectors.kms_key_arn must be a key's ARN, not an alias:",
      "arn:aws:kms:<region>:<account>:key/<id>.",
    ])
  }
}

variable "tags" {
  description = "Tags for every resource, in addition to the provider's default_tags."
  type        = map(string)
  default     = {}
  nullable    = false
}
