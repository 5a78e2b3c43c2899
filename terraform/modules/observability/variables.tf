variable "alarms" {
  description = "Alarm thresholds of the endpoints; null creates no alarms."
  type = object({
    # Share of max_concurrency that a serverless endpoint uses, up to 1.
    concurrency_utilization = optional(number, 0.8)
    # 5XX responses, in two of three minutes.
    errors_per_minute = optional(number, 1)
    # Failed or expired requests of an asynchronous endpoint, in one minute.
    failures_per_minute = optional(number, 1)
    # GPU memory in use, as a share of all GPUs of an instance.
    gpu_memory_percent = optional(number, 90)
    # Hours without a request that make instances idle, 1 to 168; 0: no alarm.
    idle_hours = optional(number, 24)
    # 95th percentile of the model's latency, in three of five minutes.
    latency_p95_ms = optional(number, 1000)
    # Responses of the model other than 2XX, in two of three minutes.
    model_errors_per_minute = optional(number, 1)
    # Minutes without a request, 1 to 1440; null creates no such alarm.
    no_traffic_minutes = optional(number)
    # 95th percentile of SageMaker's overhead, in five of five minutes.
    overhead_p95_ms = optional(number, 1000)
    # Seconds that an asynchronous request may wait, in three of three minutes.
    queue_age_s = optional(number, 1800)
  })
  default = null

  validation {
    condition = (
      var.alarms == null ? true :
      alltrue([
        for value in [
          var.alarms.errors_per_minute,
          var.alarms.failures_per_minute,
          var.alarms.model_errors_per_minute,
          var.alarms.latency_p95_ms,
          var.alarms.overhead_p95_ms,
          var.alarms.queue_age_s,
        ] :
        value > 0
      ])
    )
    error_message = "alarms: every threshold must be more than 0. Remove one to use its default."
  }
  validation {
    condition = (
      var.alarms == null ? true :
      var.alarms.gpu_memory_percent >= 1 && var.alarms.gpu_memory_percent <= 100
    )
    error_message = join(" ", [
      "alarms.gpu_memory_percent must be from 1 to 100, also for instances with several GPUs: 90 is 90 % of their",
      "memory together.",
    ])
  }
  validation {
    condition = (
      var.alarms == null ? true :
      var.alarms.concurrency_utilization > 0 && var.alarms.concurrency_utilization <= 1
    )
    error_message = "alarms.concurrency_utilization must be a share of max_concurrency, such as 0.8 for 80 %."
  }
  validation {
    condition = (
      var.alarms == null ? true :
      var.alarms.no_traffic_minutes == null ? true :
      var.alarms.no_traffic_minutes >= 1 &&
      var.alarms.no_traffic_minutes <= 1440 &&
      floor(var.alarms.no_traffic_minutes) == var.alarms.no_traffic_minutes
    )
    error_message = join(" ", [
      "alarms.no_traffic_minutes must be whole minutes from 1 to 1440, a day.",
      "Remove it if periods without requests are normal.",
    ])
  }
  validation {
    condition = (
      var.alarms == null ? true :
      var.alarms.idle_hours >= 0 &&
      var.alarms.idle_hours <= 168 &&
      floor(var.alarms.idle_hours) == var.alarms.idle_hours
    )
    error_message = join(" ", [
      "alarms.idle_hours must be whole hours from 1 to 168, the week that CloudWatch evaluates.",
      "Set it to 0 if endpoints may be idle.",
    ])
  }
}

variable "budget" {
  description = "Monthly budget with notifications of actual and forecast costs; null creates none."
  type = object({
    # Unusual costs from which Cost Anomaly Detection notifies; 0 disables it.
    anomaly_usd = optional(number, 10)
    # Whether to count the tag Project, once activated for costs, instead of all of SageMaker.
    by_tag = optional(bool, false)
    # Budget for each month.
    limit_usd = optional(number, 100)
    # One to five shares of the budget at which to notify.
    percentages = optional(list(number), [80, 100])
  })
  default = null

  validation {
    condition     = var.budget == null ? true : var.budget.limit_usd > 0
    error_message = "budget.limit_usd must be more than 0, in US dollars per month."
  }
  validation {
    condition = (
      var.budget == null ? true :
      length(var.budget.percentages) >= 1 &&
      length(var.budget.percentages) <= 5 &&
      alltrue([for value in var.budget.percentages : value > 0 && value <= 1000]) &&
      length(distinct(var.budget.percentages)) == length(var.budget.percentages)
    )
    error_message = join(" ", [
      "budget.percentages must be one to five different shares of the limit, such as [80, 100]: each makes two",
      "notifications, and a budget has ten.",
    ])
  }
  validation {
    condition     = var.budget == null ? true : var.budget.anomaly_usd >= 0
    error_message = "budget.anomaly_usd must be 0 or more, in US dollars; 0 disables anomaly detection."
  }
}

variable "dashboard" {
  description = "Whether to create a CloudWatch dashboard of all endpoints."
  type        = bool
  default     = false
  nullable    = false
}

variable "endpoints" {
  description = "The endpoints to monitor, by key."
  type = map(object({
    # Name of the inference component, if any.
    component_name = optional(string)
    # Number of an instance's GPUs, by variant.
    gpus = optional(map(number), {})
    # List price of an instance in US dollars per hour, by variant.
    hourly_usd = optional(map(number), {})
    # async, realtime, scale_to_zero or serverless.
    kind = string
    # Name of the endpoint.
    name = string
    # Names of the variants.
    variants = optional(list(string), ["AllTraffic"])
  }))
  nullable = false

  validation {
    condition = alltrue([
      for endpoint in values(var.endpoints) :
      contains(["async", "realtime", "scale_to_zero", "serverless"], endpoint.kind)
    ])
    error_message = join(" ", [
      "endpoints: kind must be async, realtime, scale_to_zero or serverless.",
      "Kinds are: ${join(", ", [for key, endpoint in var.endpoints : "${key} = ${endpoint.kind}"])}.",
    ])
  }
}

variable "name" {
  description = "First part of the names of all resources, and value of the tag Project."
  type        = string
  nullable    = false

  validation {
    condition = can(regex("^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$", var.name))
    error_message = join(" ", [
      "The observability name \"${var.name}\" must have up to 100 letters,",
      "digits, hyphens and underscores.",
    ])
  }
}

variable "notifications" {
  description = "Receivers of notifications, who must confirm their subscriptions."
  type = object({
    # E-mail addresses.
    emails = optional(list(string), [])
    # ARN of the new topic's KMS key; defaults to a new key.
    kms_key_arn = optional(string)
    # Additional subscriptions by name.
    subscriptions = optional(map(object({
      # Receiver, such as a queue's ARN or a URL.
      endpoint = string
      # email, email-json, firehose, https, lambda, sms or sqs.
      protocol = string
    })), {})
    # ARN of an existing topic, which must permit CloudWatch, Budgets and Cost Anomaly Detection.
    topic_arn = optional(string)
  })
  default  = {}
  nullable = false

  validation {
    condition = alltrue([
      for address in var.notifications.emails :
      can(regex("^[^@\\s]+@[^@\\s]+\\.[^@\\s]+$", address))
    ])
    error_message = join(" ", [
      "notifications.emails must be addresses such as team@example.com.",
      "Addresses are: ${join(", ", var.notifications.emails)}.",
    ])
  }
  validation {
    condition = alltrue([
      for subscription in values(var.notifications.subscriptions) :
      contains(["email", "email-json", "firehose", "https", "lambda", "sms", "sqs"], subscription.protocol)
    ])
    error_message = join(" ", [
      "notifications.subscriptions: protocol must be email, email-json,",
      "firehose, https, lambda, sms or sqs.",
    ])
  }
  validation {
    condition = (
      var.notifications.topic_arn == null ||
      can(regex("^arn:[a-z-]+:sns:[a-z0-9-]+:\\d{12}:[A-Za-z0-9_-]{1,256}$", var.notifications.topic_arn))
    )
    error_message = "notifications.topic_arn must be the ARN of an SNS topic: arn:aws:sns:<region>:<account>:<name>."
  }
  validation {
    condition = (
      var.notifications.kms_key_arn == null ||
      can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:\\d{12}:key/.+$", var.notifications.kms_key_arn))
    )
    error_message = join(" ", [
      "notifications.kms_key_arn must be a key's ARN, not an alias:",
      "arn:aws:kms:<region>:<account>:key/<id>.",
    ])
  }
  validation {
    condition = (
      var.alarms != null ||
      var.budget != null ||
      (
        var.notifications.topic_arn == null &&
        length(var.notifications.emails) + length(var.notifications.subscriptions) == 0
      )
    )
    error_message = join(" ", [
      "notifications has receivers, but there are no alarms and no budget.",
      "Set alarms = {} or budget = {}, or remove notifications.",
    ])
  }
  validation {
    condition = (
      var.notifications.topic_arn == null ||
      length(var.notifications.emails) + length(var.notifications.subscriptions) == 0
    )
    error_message = join(" ", [
      "notifications.emails and subscriptions belong to the topic that this module creates.",
      "Subscribe to an existing topic (topic_arn) where it is defined.",
    ])
  }
}

variable "pipeline" {
  description = "A document pipeline to show on the dashboard; null shows none."
  type = object({
    # Name of the dead-letter queue.
    dead_letter_queue = string
    # Names of the functions by purpose.
    functions = map(string)
    # Name of the queue.
    queue = string
  })
  default = null
}

variable "tags" {
  description = "Tags for every resource, in addition to the provider's default_tags."
  type        = map(string)
  default     = {}
  nullable    = false
}
