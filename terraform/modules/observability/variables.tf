variable "alarms" {
  description = <<-EOT
    When to raise an alarm: errors_per_minute (5XX) and model_errors_per_minute, in two minutes of three; the 95th
    percentile of the model's latency_p95_ms in three of five and of SageMaker's overhead_p95_ms in five of five;
    concurrency_utilization of a serverless endpoint (0 to 1); gpu_memory_percent of all GPUs of an instance; and silence_minutes without a
    request (null: silence is no alarm). Null: no alarms.
  EOT
  type = object({
    concurrency_utilization = optional(number, 0.8)
    errors_per_minute       = optional(number, 1)
    gpu_memory_percent      = optional(number, 90)
    latency_p95_ms          = optional(number, 1000)
    model_errors_per_minute = optional(number, 1)
    overhead_p95_ms         = optional(number, 1000)
    silence_minutes         = optional(number)
  })
  default = null

  validation {
    condition     = var.alarms == null ? true : alltrue([for value in [var.alarms.errors_per_minute, var.alarms.model_errors_per_minute, var.alarms.latency_p95_ms, var.alarms.overhead_p95_ms] : value > 0])
    error_message = "alarms: every threshold must be over 0. Leave one out to have its default."
  }
  validation {
    condition     = var.alarms == null ? true : var.alarms.gpu_memory_percent >= 1 && var.alarms.gpu_memory_percent <= 100
    error_message = "alarms.gpu_memory_percent must be from 1 to 100, also where an instance has several GPUs: 90 for nine tenths of all their memory."
  }
  validation {
    condition     = var.alarms == null ? true : var.alarms.concurrency_utilization > 0 && var.alarms.concurrency_utilization <= 1
    error_message = "alarms.concurrency_utilization is a share of max_concurrency: 0.8 for 80 %."
  }
  validation {
    condition     = var.alarms == null ? true : var.alarms.silence_minutes == null ? true : var.alarms.silence_minutes >= 1 && var.alarms.silence_minutes <= 1440 && floor(var.alarms.silence_minutes) == var.alarms.silence_minutes
    error_message = "alarms.silence_minutes must be whole minutes from 1 to 1440, a day; leave it out where nobody asking is normal."
  }
}

variable "budget" {
  description = <<-EOT
    Monthly budget: limit_usd, told of at each of percentages, as spent and as forecast. It counts all of SageMaker in
    the account; with by_tag exactly what is tagged Project = <name>, once that tag is activated for cost allocation.
    anomaly_usd is the unusual spending from which Cost Anomaly Detection tells (0: never). Null: no budget.
  EOT
  type = object({
    anomaly_usd = optional(number, 10)
    by_tag      = optional(bool, false)
    limit_usd   = optional(number, 100)
    percentages = optional(list(number), [80, 100])
  })
  default = null

  validation {
    condition     = var.budget == null ? true : var.budget.limit_usd > 0
    error_message = "budget.limit_usd must be over 0, in US dollars a month."
  }
  validation {
    condition     = var.budget == null ? true : length(var.budget.percentages) >= 1 && length(var.budget.percentages) <= 5 && alltrue([for value in var.budget.percentages : value > 0 && value <= 1000]) && length(distinct(var.budget.percentages)) == length(var.budget.percentages)
    error_message = "budget.percentages must be one to five different shares of the limit, such as [80, 100]: each makes two notifications, and a budget has ten."
  }
  validation {
    condition     = var.budget == null ? true : var.budget.anomaly_usd >= 0
    error_message = "budget.anomaly_usd must be 0 or more, in US dollars; 0 switches anomaly detection off."
  }
}

variable "dashboard" {
  description = "Whether to make a CloudWatch dashboard of all endpoints."
  type        = bool
  default     = false
  nullable    = false
}

variable "endpoints" {
  description = "The endpoints to watch, by key: name, kind (async, realtime, scale_to_zero or serverless), variants, gpus (how many an instance has, by variant; none where left out), and the inference component's name where there is one."
  type = map(object({
    component_name = optional(string)
    gpus           = optional(map(number), {})
    kind           = string
    name           = string
    variants       = optional(list(string), ["AllTraffic"])
  }))
  nullable = false

  validation {
    condition     = alltrue([for endpoint in values(var.endpoints) : contains(["async", "realtime", "scale_to_zero", "serverless"], endpoint.kind)])
    error_message = "endpoints: kind must be async, realtime, scale_to_zero or serverless. Not so: ${join(", ", [for key, endpoint in var.endpoints : key if !contains(["async", "realtime", "scale_to_zero", "serverless"], endpoint.kind)])}."
  }
}

variable "name" {
  description = "First part of the names of alarms, topic, dashboard and budget; the value of the tag Project."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$", var.name))
    error_message = "The name of what watches \"${var.name}\" must have up to 100 letters, digits, hyphens and underscores."
  }
}

variable "notifications" {
  description = <<-EOT
    Who is told: emails, and further subscriptions by name (protocol and endpoint, such as sqs and a queue's ARN). Each
    address must confirm its subscription. topic_arn is a topic of one's own instead, which must let CloudWatch,
    Budgets and Cost Anomaly Detection publish.
  EOT
  type = object({
    emails = optional(list(string), [])
    subscriptions = optional(map(object({
      endpoint = string
      protocol = string
    })), {})
    topic_arn = optional(string)
  })
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for address in var.notifications.emails : can(regex("^[^@\\s]+@[^@\\s]+\\.[^@\\s]+$", address))])
    error_message = "notifications.emails must be addresses such as team@example.com. Not so: ${join(", ", [for address in var.notifications.emails : address if !can(regex("^[^@\\s]+@[^@\\s]+\\.[^@\\s]+$", address))])}."
  }
  validation {
    condition     = alltrue([for subscription in values(var.notifications.subscriptions) : contains(["email", "email-json", "firehose", "https", "lambda", "sms", "sqs"], subscription.protocol)])
    error_message = "notifications.subscriptions: protocol must be email, email-json, firehose, https, lambda, sms or sqs."
  }
  validation {
    condition     = var.notifications.topic_arn == null || can(regex("^arn:[a-z-]+:sns:[a-z0-9-]+:\\d{12}:[A-Za-z0-9_-]{1,256}$", var.notifications.topic_arn))
    error_message = "notifications.topic_arn must be the ARN of an SNS topic: arn:aws:sns:<region>:<account>:<name>."
  }
  validation {
    condition     = var.alarms != null || var.budget != null || var.notifications.topic_arn == null && length(var.notifications.emails) + length(var.notifications.subscriptions) == 0
    error_message = "notifications has somebody to tell, and there is nothing to tell of: write alarms = {} or budget = {} beside it, or leave notifications out."
  }
  validation {
    condition     = var.notifications.topic_arn == null || length(var.notifications.emails) + length(var.notifications.subscriptions) == 0
    error_message = "notifications.emails and subscriptions are for the topic that is made here: subscribe to your own (topic_arn) where it is made."
  }
}

variable "pipeline" {
  description = "A document pipeline to show beside the endpoints: names of its queue and dead_letter_queue, and of its functions by what they do. Null: none."
  type = object({
    dead_letter_queue = string
    functions         = map(string)
    queue             = string
  })
  default = null
}

variable "tags" {
  description = "Tags for everything, in addition to the provider's default_tags."
  type        = map(string)
  default     = {}
  nullable    = false
}
