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

variable "environment" {
  description = "Further settings for both functions, by their names in .env.example; they beat those that are set here."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = alltrue([for name in keys(var.environment) : can(regex("^[a-zA-Z][a-zA-Z0-9_]+$", name)) && !can(regex("^(AWS_(ACCESS_KEY(_ID)?|DEFAULT_REGION|EXECUTION_ENV|LAMBDA_.*|REGION|SECRET_ACCESS_KEY|SESSION_TOKEN)|LAMBDA_(RUNTIME_DIR|TASK_ROOT))$", name))])
    error_message = "environment: names are letters, digits and underscores, beginning with a letter; and region, credentials, AWS_LAMBDA_… and LAMBDA_TASK_ROOT are Lambda's own to set. Leave these out: the functions call the region that they are in, by their roles."
  }
  validation {
    condition     = !anytrue([for name in keys(var.environment) : contains(["POWERTOOLS_METRICS_NAMESPACE", "POWERTOOLS_SERVICE_NAME"], name)])
    error_message = "environment: POWERTOOLS_METRICS_NAMESPACE and POWERTOOLS_SERVICE_NAME name the metrics that the alarms look at. Leave them out."
  }
  validation {
    condition     = sum(concat([0], [for name, value in var.environment : length(name) + length(value)])) <= 2500
    error_message = "environment has more than 2,500 characters: Lambda takes 4 KB of settings for a function, and those that are set here need the rest."
  }
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
    condition     = coalesce(var.ingest.concurrency, floor((var.endpoint.concurrency - local._search_concurrency) / var.ingest.requests)) >= 2
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
    error_message = "There is no package at ${var.ingest_package}: build it with make lambda ARGS=\"--architecture ${var.architecture} --python ${var.python_version}\", or set architecture and python_version to those of a package that is there."
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
    error_message = "There is no package at ${var.search_package}: build it with make lambda ARGS=\"--architecture ${var.architecture} --python ${var.python_version}\", or set architecture and python_version to those of a package that is there."
  }
}
