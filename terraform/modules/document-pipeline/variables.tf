variable "alarms" {
  description = <<-EOT
    When to raise an alarm: queue_age_minutes that a document waits; failures_per_minute of a function as a whole and
    throttles_per_minute of searches, in two minutes of three; and always when something is in the dead-letter queue.
    topic_arn is the SNS topic to tell. Null: no alarms.
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

variable "architecture" {
  description = "Processor that the packages were built for: arm64 (a fifth cheaper) or x86_64."
  type        = string
  default     = "arm64"
  nullable    = false

  validation {
    condition     = contains(["arm64", "x86_64"], var.architecture)
    error_message = "architecture must be arm64 or x86_64, the one that the packages were built for."
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
    How documents are cut: tokens of a chunk at most (null: what the model reads), overlap in tokens, late chunking
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
    error_message = "chunking.tokens must be a whole number of at least 16; leave it out to have chunks as long as the model reads."
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
    The endpoint that embeds: name, ARN, its inference component's name where it has one, the model's Hub id where it is
    not the default's, and how many requests it answers at once (concurrency), by which the functions are limited.
  EOT
  type = object({
    arn            = string
    component_name = optional(string)
    concurrency    = number
    model          = optional(string)
    name           = string
  })
  nullable = false
}

variable "environment" {
  description = "Further settings for both functions, by their names in .env.example; they beat those that are set here."
  type        = map(string)
  default     = {}
  nullable    = false
}

variable "ingest" {
  description = <<-EOT
    The function that ingests: memory_mb, storage_mb of temporary files, timeout_s; batch_size messages at a time,
    gathered for batch_window_s; concurrency (null: what the endpoint answers at once, less what is left to searches,
    divided by requests), requests to the endpoint that one of them sends at once; and max_receives of a message before
    it goes to the dead-letter queue.
  EOT
  type = object({
    batch_size     = optional(number, 10)
    batch_window_s = optional(number, 1)
    concurrency    = optional(number)
    max_receives   = optional(number, 5)
    memory_mb      = optional(number, 1024)
    requests       = optional(number, 1)
    storage_mb     = optional(number, 1024)
    timeout_s      = optional(number, 120)
  })
  default  = {}
  nullable = false

  validation {
    condition     = coalesce(var.ingest.concurrency, floor((var.endpoint.concurrency - coalesce(var.search.concurrency, ceil(var.endpoint.concurrency / 5))) / var.ingest.requests)) >= 2
    error_message = "${var.name}: ingestion needs two functions at once, as Lambda's reader of queues goes no lower, and the endpoint answers ${var.endpoint.concurrency} requests at once, some of which are left to searches. Raise serverless.max_concurrency or the number of instances, or set ingest.concurrency to 2 or more and let requests be throttled."
  }
  validation {
    condition     = var.ingest.concurrency == null ? true : var.ingest.concurrency <= 1000 && floor(var.ingest.concurrency) == var.ingest.concurrency
    error_message = "${var.name}: ingest.concurrency must be a whole number from 2 to 1000."
  }
  validation {
    condition     = var.ingest.requests >= 1 && floor(var.ingest.requests) == var.ingest.requests
    error_message = "${var.name}: ingest.requests must be a whole number of at least 1."
  }
  validation {
    condition     = var.ingest.batch_size >= 1 && var.ingest.batch_size <= 10000 && floor(var.ingest.batch_size) == var.ingest.batch_size && var.ingest.batch_window_s >= (var.ingest.batch_size > 10 ? 1 : 0) && var.ingest.batch_window_s <= 300 && floor(var.ingest.batch_window_s) == var.ingest.batch_window_s
    error_message = "${var.name}: ingest.batch_size must be from 1 to 10000 messages, and ingest.batch_window_s from 0 to 300 seconds; more than 10 messages need a window of at least 1."
  }
  validation {
    condition     = var.ingest.timeout_s >= 30 && var.ingest.timeout_s <= 900 && floor(var.ingest.timeout_s) == var.ingest.timeout_s
    error_message = "${var.name}: ingest.timeout_s must be whole seconds from 30 (a sleeping endpoint takes that long to wake) to 900, Lambda's limit. Longer documents are continued by the next function."
  }
  validation {
    condition     = var.ingest.memory_mb >= 256 && var.ingest.memory_mb <= 10240 && floor(var.ingest.memory_mb) == var.ingest.memory_mb && var.ingest.storage_mb >= 512 && var.ingest.storage_mb <= 10240 && floor(var.ingest.storage_mb) == var.ingest.storage_mb
    error_message = "${var.name}: ingest.memory_mb must be from 256 to 10240, and ingest.storage_mb from 512 to 10240, Lambda's limits."
  }
  validation {
    # AWS advises 5 at least: a throttled batch counts as received.
    condition     = var.ingest.max_receives >= 2 && var.ingest.max_receives <= 1000 && floor(var.ingest.max_receives) == var.ingest.max_receives
    error_message = "${var.name}: ingest.max_receives must be from 2 to 1000: with 1, the first hiccup sets a document aside."
  }
}

variable "ingest_package" {
  description = "Zip of the ingest function, which scripts/build_lambda.py builds."
  type        = string
  nullable    = false

  validation {
    condition     = fileexists(var.ingest_package)
    error_message = "There is no package at ${var.ingest_package}: build it with make lambda, for the architecture and Python version that are set here."
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

variable "python_version" {
  description = "Version of Python that the packages were built for."
  type        = string
  default     = "3.13"
  nullable    = false

  validation {
    condition     = contains(["3.11", "3.12", "3.13", "3.14"], var.python_version)
    error_message = "python_version must be 3.11, 3.12, 3.13 or 3.14, the one that the packages were built for."
  }
}

variable "reserve_concurrency" {
  description = "Whether to take the functions' concurrency out of the account's, so that nobody else uses it up. Lambda refuses where fewer than 100 would be left: new accounts have 10 until a higher quota is granted."
  type        = bool
  default     = true
  nullable    = false
}

variable "search" {
  description = <<-EOT
    The function that searches: memory_mb, storage_mb, timeout_s, concurrency (null: a fifth of what the endpoint answers
    at once), and whether it has a URL, which takes requests signed by IAM.
  EOT
  type = object({
    concurrency = optional(number)
    memory_mb   = optional(number, 1024)
    storage_mb  = optional(number, 512)
    timeout_s   = optional(number, 60)
    url         = optional(bool, true)
  })
  default  = {}
  nullable = false

  validation {
    condition     = var.search.concurrency == null ? true : var.search.concurrency >= 1 && floor(var.search.concurrency) == var.search.concurrency
    error_message = "${var.name}: search.concurrency must be a whole number of at least 1."
  }
  validation {
    condition     = var.search.timeout_s >= 3 && var.search.timeout_s <= 900 && floor(var.search.timeout_s) == var.search.timeout_s
    error_message = "${var.name}: search.timeout_s must be whole seconds from 3 to 900, Lambda's limit."
  }
  validation {
    condition     = var.search.memory_mb >= 256 && var.search.memory_mb <= 10240 && floor(var.search.memory_mb) == var.search.memory_mb && var.search.storage_mb >= 512 && var.search.storage_mb <= 10240 && floor(var.search.storage_mb) == var.search.storage_mb
    error_message = "${var.name}: search.memory_mb must be from 256 to 10240, and search.storage_mb from 512 to 10240, Lambda's limits."
  }
}

variable "search_package" {
  description = "Zip of the search function, which scripts/build_lambda.py builds."
  type        = string
  nullable    = false

  validation {
    condition     = fileexists(var.search_package)
    error_message = "There is no package at ${var.search_package}: build it with make lambda, for the architecture and Python version that are set here."
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
