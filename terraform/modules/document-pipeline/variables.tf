variable "alarms" {
  description = "Alarm thresholds; null creates no alarms."
  type = object({
    # Failures of a function, in two of three minutes.
    failures_per_minute = optional(number, 1)
    # Minutes that a document waits in the queue.
    queue_age_minutes = optional(number, 30)
    # Throttled searches, in two of three minutes.
    throttles_per_minute = optional(number, 1)
    # ARN of the SNS topic to notify.
    topic_arn = optional(string)
  })
  default = null

  validation {
    condition = (
      var.alarms == null ? true :
      alltrue([
        for value in [var.alarms.failures_per_minute, var.alarms.queue_age_minutes, var.alarms.throttles_per_minute] :
        value > 0
      ])
    )
    error_message = "alarms: every threshold must be more than 0. Remove one to use its default."
  }
}

variable "bucket" {
  description = "The bucket of documents."
  type = object({
    # Whether a destroy deletes the documents, too.
    force_destroy = optional(bool, false)
    # Name of the bucket; defaults to <name>-<account>-<region>.
    name = optional(string)
    # Days for which overwritten and deleted versions are kept.
    noncurrent_days = optional(number, 30)
    # Key prefix of documents; defaults to all keys.
    prefix = optional(string)
    # Key suffix of documents; defaults to all keys.
    suffix = optional(string)
  })
  default  = {}
  nullable = false

  validation {
    condition = can(regex(
      "^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$",
      coalesce(var.bucket.name, "${var.name}-123456789012-ap-southeast-1"),
    ))
    error_message = join(" ", [
      "The bucket's name must have 3 to 63 lowercase letters, digits and hyphens.",
      "Change bucket.name, or set it if <name>-<account>-<region> is too long.",
    ])
  }
  validation {
    condition     = var.bucket.noncurrent_days >= 1 && floor(var.bucket.noncurrent_days) == var.bucket.noncurrent_days
    error_message = "bucket.noncurrent_days must be whole days, 1 or more."
  }
  validation {
    condition = (
      var.bucket.prefix == null ? true :
      length(var.bucket.prefix) > 0 && !startswith(var.bucket.prefix, "/") && !can(regex("[*?]", var.bucket.prefix))
    )
    error_message = join(" ", [
      "bucket.prefix must be the beginning of keys, such as documents/, without a pattern or a leading slash.",
      "Remove it to ingest all keys.",
    ])
  }
}

variable "chunking" {
  description = "How documents are split; a collection rejects chunks that were split differently."
  type = object({
    # Template for text before each chunk, such as "{source} > {headings}: ".
    context = optional(string)
    # Whether to use late chunking, which requires this project's model server.
    late = optional(bool, false)
    # Tokens that consecutive chunks share, at most half of tokens.
    overlap = optional(number, 0)
    # Largest chunk; defaults to the model's limit, at most 512 if max_tokens is known.
    tokens = optional(number)
  })
  default  = {}
  nullable = false

  validation {
    condition = (
      var.chunking.tokens == null ? true :
      var.chunking.tokens >= 16 && floor(var.chunking.tokens) == var.chunking.tokens
    )
    error_message = join(" ", [
      "chunking.tokens must be a whole number of at least 16.",
      "Remove it to use the model's limit, at most 512.",
    ])
  }
  validation {
    condition     = var.chunking.context == null ? true : !can(regex("['\n]", var.chunking.context))
    error_message = "chunking.context must be one line without single quotes, so that .env can contain it."
  }
  validation {
    condition = (
      var.chunking.overlap >= 0 &&
      floor(var.chunking.overlap) == var.chunking.overlap &&
      (var.chunking.tokens == null ? true : var.chunking.overlap <= var.chunking.tokens / 2)
    )
    error_message = join(" ", [
      "chunking.overlap must be a whole number and at most half of chunking.tokens; otherwise every text is stored",
      "more than twice.",
    ])
  }
}

variable "collection" {
  description = "Name of the collection."
  type        = string
  default     = "documents"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,46}[a-z0-9]$", var.collection))
    error_message = "collection must begin with a letter and have 3 to 48 lowercase letters, digits and hyphens."
  }
}

variable "endpoint" {
  description = "The endpoint that embeds documents and queries."
  type = object({
    # ARN of the endpoint.
    arn = string
    # Name of the inference component, if any.
    component_name = optional(string)
    # Requests that the endpoint processes at the same time, which limit the functions.
    concurrency = number
    # Length of the vectors that the functions request; defaults to the model's full length.
    dimensions = optional(number)
    # Tokens that the model reads, if the functions do not know the model.
    max_tokens = optional(number)
    # Hub id of the model.
    model = string
    # Name of the endpoint.
    name = string
    # Texts before documents and queries; defaults to the model's own.
    prompts = optional(object({
      # Text before a document.
      document = optional(string)
      # Text before a query.
      query = optional(string)
    }), {})
    # Revision of the model; a collection rejects vectors of another one.
    revision = optional(string)
  })
  nullable = false
}

variable "kms_key_arn" {
  description = "KMS key ARN for documents, messages, logs and settings; null uses the services' keys."
  type        = string
  default     = null

  validation {
    condition = (
      var.kms_key_arn == null ||
      can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:\\d{12}:key/.+$", var.kms_key_arn))
    )
    error_message = "kms_key_arn must be a key's ARN, not an alias: arn:aws:kms:<region>:<account>:key/<id>."
  }
}

variable "log_level" {
  description = "Log level: DEBUG, INFO, WARNING or ERROR; logs never contain texts."
  type        = string
  default     = "INFO"
  nullable    = false

  validation {
    condition     = contains(["DEBUG", "INFO", "WARNING", "ERROR"], var.log_level)
    error_message = "log_level must be DEBUG, INFO, WARNING or ERROR."
  }
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
  description = "First part of the names of functions, queues, roles, alarms and the bucket."
  type        = string
  nullable    = false

  validation {
    condition = can(regex("^[a-zA-Z0-9](-?[a-zA-Z0-9])*$", var.name)) && length(var.name) <= 57
    error_message = join(" ", [
      "The pipeline's name \"${var.name}\" must have up to 57 letters, digits and single hyphens: Lambda accepts",
      "64 for <name>-ingest.",
    ])
  }
}

variable "permissions_boundary" {
  description = "ARN of the permissions boundary of the functions' roles, if the organisation requires one."
  type        = string
  default     = null

  validation {
    condition = (
      var.permissions_boundary == null ||
      can(regex("^arn:[a-z-]+:iam::(\\d{12}|aws):policy/.+$", var.permissions_boundary))
    )
    error_message = "permissions_boundary must be a policy's ARN: arn:aws:iam::<account>:policy/<name>."
  }
}

variable "reranker" {
  description = "The endpoint that reranks the results of searches that ask for it; null is none."
  type = object({
    # ARN of the endpoint.
    arn = string
    # Name of the inference component, if any.
    component_name = optional(string)
    # Hub id of the model, if it is known.
    model = optional(string)
    # Name of the endpoint.
    name = string
    # Revision of the model, if it is pinned.
    revision = optional(string)
  })
  default = null
}

variable "role_path" {
  description = "Path of the functions' roles, such as /embeddings/."
  type        = string
  default     = "/"
  nullable    = false

  validation {
    condition     = can(regex("^/([A-Za-z0-9._+=,@-]+/)*$", var.role_path))
    error_message = "role_path must begin and end with a slash, such as /embeddings/, or be a single one."
  }
}

variable "tags" {
  description = "Tags for every resource, in addition to the provider's default_tags."
  type        = map(string)
  default     = {}
  nullable    = false
}

variable "vector_store" {
  description = "The vector store; accepts a vector-store module."
  type = object({
    # Settings with which the functions find the store.
    environment = map(string)
    # aurora or s3_vectors.
    kind = string
    # The same for searches; defaults to environment.
    reading_environment = optional(map(string))
    # IAM statements for searches.
    reading_statements = any
    # Ids of the database's security groups.
    security_group_ids = optional(list(string), [])
    # IAM statements for ingestion.
    writing_statements = any
  })
  nullable = false

  validation {
    condition     = contains(["aurora", "s3_vectors"], var.vector_store.kind)
    error_message = "vector_store.kind must be aurora or s3_vectors. Pass a vector-store module."
  }
  validation {
    condition = var.vector_store.kind != "aurora" || var.vpc != null
    error_message = join(" ", [
      "The database is reachable only from its VPC.",
      "Set vpc = { subnet_ids = [...] } for the functions, with access to AWS services (interface endpoints or a",
      "NAT gateway).",
    ])
  }
}

variable "vpc" {
  description = "VPC of the functions; null attaches them to none."
  type = object({
    # Security group ids; without any, a group is created for outbound HTTPS and Postgres.
    security_group_ids = optional(list(string), [])
    # Subnet ids, preferably in two availability zones.
    subnet_ids = list(string)
  })
  default = null

  validation {
    condition     = var.vpc == null ? true : length(var.vpc.subnet_ids) > 0
    error_message = "vpc.subnet_ids is empty. Set subnets, preferably in two availability zones."
  }
}
