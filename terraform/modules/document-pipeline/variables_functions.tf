variable "architecture" {
  description = "Processor of the packages: arm64 (20 % cheaper) or x86_64."
  type        = string
  default     = "arm64"
  nullable    = false

  validation {
    condition     = contains(["arm64", "x86_64"], var.architecture)
    error_message = "architecture must be arm64 or x86_64, as in the build of the packages."
  }
}

variable "environment" {
  description = "Additional settings of both functions (see .env.example), which override those of this module."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition = alltrue([
      for name in keys(var.environment) :
      can(regex("^[a-zA-Z][a-zA-Z0-9_]+$", name)) && !can(regex(local._reserved_variables, name))
    ])
    error_message = join(" ", [
      "environment: names must have letters, digits and underscores and begin with a letter.",
      "Remove region, credentials, AWS_LAMBDA_...",
      "and LAMBDA_TASK_ROOT, which Lambda sets itself: the functions use their own region and role.",
      "Names are: ${join(", ", keys(var.environment))}.",
    ])
  }
  validation {
    condition = !anytrue([
      for name in keys(var.environment) :
      contains(["POWERTOOLS_METRICS_NAMESPACE", "POWERTOOLS_SERVICE_NAME"], name)
    ])
    error_message = join(" ", [
      "environment: POWERTOOLS_METRICS_NAMESPACE and POWERTOOLS_SERVICE_NAME name the metrics of the alarms.",
      "Remove them.",
    ])
  }
  validation {
    condition = sum(concat(
      [for prompt in values(var.endpoint.prompts) : prompt == null ? 0 : length(prompt)],
      [for name, value in var.environment : length(name) + length(value)],
    )) <= 2500
    error_message = join(" ", [
      "environment and endpoint.prompts have more than 2,500 characters.",
      "Lambda accepts 4 KB of settings, and this module needs the rest. Shorten or remove settings.",
    ])
  }
}

variable "ingest" {
  description = "Size and batches of the ingest function."
  type = object({
    # Messages of each invocation, 1 to 10000.
    batch_size = optional(number, 10)
    # Seconds to gather a batch, 0 to 300.
    batch_window_s = optional(number, 1)
    # Concurrent invocations; defaults to the endpoint's concurrency without searches, by requests_per_function.
    concurrency = optional(number)
    # Receipts of a message before it moves to the dead-letter queue, 2 to 1000.
    max_receives = optional(number, 5)
    # Memory, 256 to 10240.
    memory_mb = optional(number, 1024)
    # Concurrent requests of each invocation to the endpoint.
    requests_per_function = optional(number, 1)
    # Temporary storage, 512 to 10240.
    storage_mb = optional(number, 1024)
    # Timeout in seconds, 30 to 900.
    timeout_s = optional(number, 120)
  })
  default  = {}
  nullable = false

  validation {
    condition = coalesce(
      var.ingest.concurrency,
      floor((var.endpoint.concurrency - local._search_concurrency) / var.ingest.requests_per_function),
    ) >= 2
    error_message = join(" ", [
      "${var.name}: ingestion needs a concurrency of 2, the minimum of Lambda's event source, but the endpoint",
      "processes only ${var.endpoint.concurrency} requests at the same time, some of which are reserved for",
      "searches.",
      "Raise serverless.max_concurrency or the number of instances, or set ingest.concurrency to 2 or more and",
      "accept throttling.",
    ])
  }
  validation {
    condition = (
      var.ingest.concurrency == null ? true :
      var.ingest.concurrency <= 1000 && floor(var.ingest.concurrency) == var.ingest.concurrency
    )
    error_message = "${var.name}: ingest.concurrency must be a whole number from 2 to 1000."
  }
  validation {
    condition = (
      var.ingest.requests_per_function >= 1 &&
      floor(var.ingest.requests_per_function) == var.ingest.requests_per_function
    )
    error_message = "${var.name}: ingest.requests_per_function must be a whole number of at least 1."
  }
  validation {
    condition = (
      var.ingest.batch_size >= 1 &&
      var.ingest.batch_size <= 10000 &&
      floor(var.ingest.batch_size) == var.ingest.batch_size &&
      var.ingest.batch_window_s >= (var.ingest.batch_size > 10 ? 1 : 0) &&
      var.ingest.batch_window_s <= 300 &&
      floor(var.ingest.batch_window_s) == var.ingest.batch_window_s
    )
    error_message = join(" ", [
      "${var.name}: ingest.batch_size must be from 1 to 10000 messages, and ingest.batch_window_s from 0 to 300",
      "seconds. More than 10 messages need a window of at least 1 second.",
    ])
  }
  validation {
    condition = (
      var.ingest.timeout_s >= 30 &&
      var.ingest.timeout_s <= 900 &&
      floor(var.ingest.timeout_s) == var.ingest.timeout_s
    )
    error_message = join(" ", [
      "${var.name}: ingest.timeout_s must be whole seconds from 30 (the time for an endpoint to wake up) to 900,",
      "Lambda's limit. Another invocation continues longer documents.",
    ])
  }
  validation {
    condition = (
      var.ingest.memory_mb >= 256 &&
      var.ingest.memory_mb <= 10240 &&
      floor(var.ingest.memory_mb) == var.ingest.memory_mb &&
      var.ingest.storage_mb >= 512 &&
      var.ingest.storage_mb <= 10240 &&
      floor(var.ingest.storage_mb) == var.ingest.storage_mb
    )
    error_message = join(" ", [
      "${var.name}: ingest.memory_mb must be from 256 to 10240, and ingest.storage_mb from 512 to 10240, Lambda's",
      "limits.",
    ])
  }
  validation {
    # AWS recommends at least 5, because a throttled batch counts as received.
    condition = (
      var.ingest.max_receives >= 2 &&
      var.ingest.max_receives <= 1000 &&
      floor(var.ingest.max_receives) == var.ingest.max_receives
    )
    error_message = join(" ", [
      "${var.name}: ingest.max_receives must be from 2 to 1000.",
      "With 1, the first failure moves a document to the dead-letter queue.",
    ])
  }
}

variable "ingest_package" {
  description = "Path of the ingest function's package; embedstack package-functions builds it."
  type        = string
  nullable    = false

  validation {
    condition = fileexists(var.ingest_package)
    error_message = join(" ", [
      "There is no package at ${var.ingest_package}.",
      "Build it with embedstack package-functions --architecture ${var.architecture} --python ${var.python_version},",
      "or set architecture and python_version to those of an existing package.",
    ])
  }
}

variable "python_version" {
  description = "Python version of the packages."
  type        = string
  default     = "3.13"
  nullable    = false

  validation {
    condition     = contains(["3.11", "3.12", "3.13", "3.14"], var.python_version)
    error_message = "python_version must be 3.11, 3.12, 3.13 or 3.14, as in the build of the packages."
  }
}

variable "reserve_concurrency" {
  description = "Whether to reserve the functions' concurrency; must be false in new accounts (quota 10)."
  type        = bool
  default     = true
  nullable    = false
}

variable "search" {
  description = "Size of the search function."
  type = object({
    # Concurrent invocations; defaults to a fifth of the endpoint's concurrency.
    concurrency = optional(number)
    # Memory, 256 to 10240.
    memory_mb = optional(number, 1024)
    # Temporary storage, 512 to 10240.
    storage_mb = optional(number, 512)
    # Timeout in seconds, 3 to 900.
    timeout_s = optional(number, 60)
    # Whether the function has a URL for requests signed with IAM credentials.
    url = optional(bool, true)
  })
  default  = {}
  nullable = false

  validation {
    condition = (
      var.search.concurrency == null ? true :
      var.search.concurrency >= 1 && floor(var.search.concurrency) == var.search.concurrency
    )
    error_message = "${var.name}: search.concurrency must be a whole number of at least 1."
  }
  validation {
    condition = (
      var.search.timeout_s >= 3 &&
      var.search.timeout_s <= 900 &&
      floor(var.search.timeout_s) == var.search.timeout_s
    )
    error_message = "${var.name}: search.timeout_s must be whole seconds from 3 to 900, Lambda's limit."
  }
  validation {
    condition = (
      var.search.memory_mb >= 256 &&
      var.search.memory_mb <= 10240 &&
      floor(var.search.memory_mb) == var.search.memory_mb &&
      var.search.storage_mb >= 512 &&
      var.search.storage_mb <= 10240 &&
      floor(var.search.storage_mb) == var.search.storage_mb
    )
    error_message = join(" ", [
      "${var.name}: search.memory_mb must be from 256 to 10240, and search.storage_mb from 512 to 10240, Lambda's",
      "limits.",
    ])
  }
}

variable "search_package" {
  description = "Path of the search function's package; embedstack package-functions builds it."
  type        = string
  nullable    = false

  validation {
    condition = fileexists(var.search_package)
    error_message = join(" ", [
      "There is no package at ${var.search_package}.",
      "Build it with embedstack package-functions --architecture ${var.architecture} --python ${var.python_version},",
      "or set architecture and python_version to those of an existing package.",
    ])
  }
}
