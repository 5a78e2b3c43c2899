variable "aurora" {
  description = <<-EOT
    Aurora PostgreSQL Serverless v2 with pgvector, from min_acu (0: it pauses after auto_pause_s without connections) to
    max_acu capacity units, in vpc: subnet_ids in two availability zones at least, and security_group_ids (without them
    a group is made that lets client_security_groups in). engine_version is a major version (RDS keeps the minor one up
    to date) or a full one; database the database's name; backup_days how far backups reach back; kms_key_arn the key
    for storage and secret; data_api whether SQL can be run over HTTPS; verify_server whether clients check the
    database's certificate, for which they need RDS's own (PGSSLROOTCERT). deletion_protection refuses to destroy it, and a
    last snapshot is taken; without it nothing stays.
  EOT
  type = object({
    auto_pause_s        = optional(number, 300)
    backup_days         = optional(number, 7)
    data_api            = optional(bool, false)
    database            = optional(string, "embedstack")
    deletion_protection = optional(bool, true)
    engine_version      = optional(string, "17")
    kms_key_arn         = optional(string)
    max_acu             = optional(number, 2)
    min_acu             = optional(number, 0)
    verify_server       = optional(bool, true)
    vpc = object({
      security_group_ids = optional(list(string), [])
      subnet_ids         = list(string)
    })
  })
  default = null

  validation {
    condition     = (var.aurora == null) != (var.s3_vectors == null)
    error_message = "Vectors go to one store: write exactly one of s3_vectors = {} (paid by what is stored and asked) and aurora = { vpc = { subnet_ids = [\"subnet-…\", \"subnet-…\"] } } (Postgres with pgvector, paid by capacity)."
  }
  validation {
    condition     = var.aurora == null ? true : length(distinct(var.aurora.vpc.subnet_ids)) >= 2
    error_message = "aurora.vpc.subnet_ids must name subnets in two availability zones at least: RDS refuses a subnet group in one."
  }
  validation {
    condition     = var.aurora == null ? true : var.aurora.min_acu >= 0 && var.aurora.max_acu >= max(1, var.aurora.min_acu) && var.aurora.max_acu <= 256 && alltrue([for acu in [var.aurora.min_acu, var.aurora.max_acu] : floor(acu * 2) == acu * 2])
    error_message = "aurora.min_acu must be 0 or more and aurora.max_acu from 1 to 256, in steps of 0.5, and min_acu no more than max_acu. One unit has about 2 GiB of memory, into which the index should fit."
  }
  validation {
    condition     = var.aurora == null ? true : var.aurora.auto_pause_s >= 300 && var.aurora.auto_pause_s <= 86400 && floor(var.aurora.auto_pause_s) == var.aurora.auto_pause_s
    error_message = "aurora.auto_pause_s must be whole seconds from 300 to 86400, a day. To never pause, set min_acu = 0.5."
  }
  validation {
    condition     = var.aurora == null ? true : can(regex("^(1[5-9]|2[0-9])(\\.\\d+)?$", var.aurora.engine_version)) && !can(regex("^(15\\.([0-9]|1[01])|16\\.[0-7]|17\\.[0-3])$", var.aurora.engine_version))
    error_message = "aurora.engine_version must be a major version such as 17, or a full one from 15.12, 16.8 and 17.4 on: older ones have no pgvector 0.8, which filtered searches need."
  }
  validation {
    condition     = var.aurora == null ? true : var.aurora.backup_days >= 1 && var.aurora.backup_days <= 35 && floor(var.aurora.backup_days) == var.aurora.backup_days
    error_message = "aurora.backup_days must be whole days from 1 to 35."
  }
  validation {
    condition     = var.aurora == null ? true : can(regex("^[a-z][a-z0-9_]{0,62}$", var.aurora.database))
    error_message = "aurora.database must begin with a letter and have up to 63 lower-case letters, digits and underscores."
  }
  validation {
    condition     = try(var.aurora.kms_key_arn, null) == null ? true : can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:\\d{12}:key/.+$", var.aurora.kms_key_arn))
    error_message = "aurora.kms_key_arn must be a key's ARN, not an alias: arn:aws:kms:<region>:<account>:key/<id>."
  }
}

variable "client_security_groups" {
  description = "Security groups that may connect to the database, by what they are of."
  type        = map(string)
  default     = {}
  nullable    = false
}

variable "log_retention_days" {
  description = "Days for which the database's logs are kept; 0 keeps them for ever."
  type        = number
  default     = 30
  nullable    = false

  validation {
    condition     = contains([0, 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_retention_days)
    error_message = "${var.name}: log_retention_days must be a period that CloudWatch offers: 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288 or 3653 days, or 0 for ever."
  }
}

variable "name" {
  description = "Name of the database cluster, and of the vector bucket unless it has one of its own."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z](-?[a-z0-9])*$", var.name)) && length(var.name) >= 3 && length(var.name) <= 50
    error_message = "The store's name \"${var.name}\" must begin with a letter and have 3 to 50 lower-case letters, digits and single hyphens: RDS and S3 Vectors take no others."
  }
}

variable "s3_vectors" {
  description = <<-EOT
    A vector bucket of S3 Vectors: bucket_name (null: name) and kms_key_arn (null: S3's own key), both for good. retain
    leaves the bucket with its vectors when it is destroyed here; S3 Vectors deletes only empty buckets. With create =
    false a bucket of that name is there already, such as one that was left.
  EOT
  type = object({
    bucket_name = optional(string)
    create      = optional(bool, true)
    kms_key_arn = optional(string)
    retain      = optional(bool, true)
  })
  default = null

  validation {
    condition     = try(var.s3_vectors.bucket_name, null) == null ? true : can(regex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", var.s3_vectors.bucket_name))
    error_message = "s3_vectors.bucket_name must have 3 to 63 lower-case letters, digits and hyphens, with no hyphen at either end."
  }
  validation {
    condition     = try(var.s3_vectors.kms_key_arn, null) == null ? true : can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:\\d{12}:key/.+$", var.s3_vectors.kms_key_arn))
    error_message = "s3_vectors.kms_key_arn must be a key's ARN, not an alias: arn:aws:kms:<region>:<account>:key/<id>."
  }
}

variable "tags" {
  description = "Tags for everything, in addition to the provider's default_tags."
  type        = map(string)
  default     = {}
  nullable    = false
}
