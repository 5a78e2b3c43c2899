variable "alarms" {
  description = <<-EOT
    When to raise an alarm: queue_age_minutes that a document waits; failures_per_minute of searches and of a function
    as a whole, and throttles_per_minute of searches, in two minutes of three; and always when something is in the
    dead-letter queue. topic_arn is the SNS topic to tell. Null: no alarms.
  EOT
  type = object({
    failures_per_minute  = optional(number, 1)
    queue_age_minutes    = optional(number, 30)
    throttles_per_minute = optional(number, 1)
    topic_arn            = optional(string)
  })
  default = null

  validation {
    condition     = var.alarms == null ? true : alltrue([for value in [var.alarms.failures_per_minute, var.alarms.queue_age_minutes, var.alarms.throttles_per_minute] : value > 0])
    error_message = "alarms: every threshold must be over 0. Leave one out to have its default."
  }
}

variable "bucket" {
  description = <<-EOT
    The bucket of documents: name (null: <name>-<account>-<region>), the prefix and suffix of the keys that are
    documents (null: all), noncurrent_days for which overwritten and deleted versions are kept, and force_destroy, which
    lets it be destroyed with documents in it.
  EOT
  type = object({
    force_destroy   = optional(bool, false)
    name            = optional(string)
    noncurrent_days = optional(number, 30)
    prefix          = optional(string)
    suffix          = optional(string)
  })
  default  = {}
  nullable = false

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", coalesce(var.bucket.name, "${var.name}-123456789012-ap-southeast-1")))
    error_message = "The bucket's name must have 3 to 63 lower-case letters, digits and hyphens; <name>-<account>-<region> would be too long or have others. Set bucket.name."
  }
  validation {
    condition     = var.bucket.noncurrent_days >= 1 && floor(var.bucket.noncurrent_days) == var.bucket.noncurrent_days
    error_message = "bucket.noncurrent_days must be whole days, 1 or more."
  }
  validation {
    condition     = var.bucket.prefix == null ? true : length(var.bucket.prefix) > 0 && !startswith(var.bucket.prefix, "/") && !can(regex("[*?]", var.bucket.prefix))
    error_message = "bucket.prefix must be the beginning of keys, such as documents/: not a pattern, and no key begins with a slash. Leave it out to take all."
  }
}

variable "chunking" {
  description = <<-EOT
    How documents are cut: tokens of a chunk at most (null: what the model reads, and 512 where
    it reads more), overlap in tokens, late chunking
    (which only this project's model server offers), and context, a template such as "{source} > {headings}: " that is
    put before each chunk for the model to read. A collection remembers it, and refuses chunks that were cut in another
    way.
  EOT
  type = object({
    context = optional(string)
    late    = optional(bool, false)
    overlap = optional(number, 0)
    tokens  = optional(number)
  })
  default  = {}
  nullable = false

  validation {
    condition     = var.chunking.tokens == null ? true : var.chunking.tokens >= 16 && floor(var.chunking.tokens) == var.chunking.tokens
    error_message = "chunking.tokens must be a whole number of at least 16; leave it out to have chunks as long as the model reads, up to 512."
  }
  validation {
    condition     = var.chunking.context == null ? true : !can(regex("['\n]", var.chunking.context))
    error_message = "chunking.context must be on one line and without single quotes, so that it can be written into .env."
  }
  validation {
    condition     = var.chunking.overlap >= 0 && floor(var.chunking.overlap) == var.chunking.overlap && (var.chunking.tokens == null ? true : var.chunking.overlap <= var.chunking.tokens / 2)
    error_message = "chunking.overlap must be a whole number of tokens, and no more than half of chunking.tokens: every text would be stored more than twice."
  }
}

variable "collection" {
  description = "Name of the collection that documents go to."
  type        = string
  default     = "documents"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,46}[a-z0-9]$", var.collection))
    error_message = "collection must begin with a letter and have 3 to 48 lower-case letters, digits and hyphens."
  }
}

variable "endpoint" {
  description = <<-EOT
    The endpoint that embeds: name, ARN, its inference component's name where it has one, the model's Hub id and its
    revision where that is pinned (a collection takes no vectors of another one), and how many requests it answers at
    once (concurrency), by which the functions are limited.
  EOT
  type = object({
    arn            = string
    component_name = optional(string)
    concurrency    = number
    model          = string
    name           = string
    revision       = optional(string)
  })
  nullable = false

  validation {
    condition     = contains(keys(local.known_models), var.endpoint.model)
    error_message = "The functions know nothing of the model ${var.endpoint.model}, and would refuse every document. They know ${join(" and ", keys(local.known_models))}; src/embedstack/models.py says what has to be known of another."
  }
}

variable "kms_key_arn" {
  description = <<-EOT
    ARN of the KMS key for documents, messages, logs and the functions' settings. Its policy must let in
    s3.amazonaws.com (kms:Decrypt and kms:GenerateDataKey, to send messages) and logs.<region>.amazonaws.com
    (kms:Encrypt*, kms:Decrypt*, kms:ReEncrypt*, kms:GenerateDataKey*, kms:Describe*). Null: the services' own keys.
  EOT
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_arn == null || can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:\\d{12}:key/.+$", var.kms_key_arn))
    error_message = "kms_key_arn must be a key's ARN, not an alias: arn:aws:kms:<region>:<account>:key/<id>."
  }
}

variable "log_level" {
  description = "What the functions log: DEBUG, INFO, WARNING or ERROR. None of it is content."
  type        = string
  default     = "INFO"
  nullable    = false

  validation {
    condition     = contains(["DEBUG", "INFO", "WARNING", "ERROR"], var.log_level)
    error_message = "log_level must be DEBUG, INFO, WARNING or ERROR."
  }
}

variable "log_retention_days" {
  description = "Days for which the functions' logs are kept; 0 keeps them for ever."
  type        = number
  default     = 30
  nullable    = false

  validation {
    condition     = contains([0, 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_retention_days)
    error_message = "${var.name}: log_retention_days must be a period that CloudWatch offers: 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288 or 3653 days, or 0 for ever."
  }
}

variable "name" {
  description = "First part of the names of functions, queues, roles, alarms and, unless it has one of its own, the bucket."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-zA-Z0-9](-?[a-zA-Z0-9])*$", var.name)) && length(var.name) <= 57
    error_message = "The pipeline's name \"${var.name}\" must have up to 57 letters, digits and single hyphens: Lambda takes 64 for <name>-ingest."
  }
}

variable "permissions_boundary" {
  description = "ARN of the policy that bounds the functions' roles, where the organisation demands one."
  type        = string
  default     = null

  validation {
    condition     = var.permissions_boundary == null || can(regex("^arn:[a-z-]+:iam::(\\d{12}|aws):policy/.+$", var.permissions_boundary))
    error_message = "permissions_boundary must be a policy's ARN: arn:aws:iam::<account>:policy/<name>."
  }
}

variable "tags" {
  description = "Tags for everything, in addition to the provider's default_tags."
  type        = map(string)
  default     = {}
  nullable    = false
}

variable "vector_store" {
  description = "Where vectors go. Takes the vector-store module as it is."
  type = object({
    environment        = map(string)
    kind               = string
    reading_statements = any
    security_group_ids = optional(list(string), [])
    writing_statements = any
  })
  nullable = false

  validation {
    condition     = contains(["aurora", "s3_vectors"], var.vector_store.kind)
    error_message = "vector_store.kind must be aurora or s3_vectors: give the vector-store module as it is."
  }
  validation {
    condition     = var.vector_store.kind != "aurora" || var.vpc != null
    error_message = "The database can be reached from its VPC alone: set vpc = { subnet_ids = [...] } for the functions, with a way to AWS's services (interface endpoints or a NAT gateway)."
  }
}

variable "vpc" {
  description = "Subnets for the functions, and their security groups (without them a group is made that lets HTTPS out, and Postgres to the database). Null: in no VPC."
  type = object({
    security_group_ids = optional(list(string), [])
    subnet_ids         = list(string)
  })
  default = null

  validation {
    condition     = var.vpc == null ? true : length(var.vpc.subnet_ids) > 0
    error_message = "vpc.subnet_ids is empty: name the subnets, in two availability zones where you can."
  }
}
