variable "capacity" {
  description = "How little and how much there may be: instances, copies or warm containers, by the target's kind."
  type = object({
    max = number
    min = number
  })
  nullable = false

  validation {
    condition     = var.capacity.min >= local._kind.least && floor(var.capacity.min) == var.capacity.min
    error_message = "${var.name}: autoscaling.min is ${var.capacity.min} and must be a whole number of at least ${local._kind.least}. ${local._kind.least == 1 ? "SageMaker keeps one instance of a real-time variant: to pay for none while nobody asks, take scale_to_zero, serverless, or realtime with async." : ""}"
  }
  validation {
    condition     = var.capacity.max >= max(var.capacity.min, 1) && floor(var.capacity.max) == var.capacity.max
    error_message = "${var.name}: autoscaling.max is ${var.capacity.max} and must be a whole number of at least ${max(var.capacity.min, 1)}, as autoscaling.min is ${var.capacity.min}."
  }
}

variable "name" {
  description = "Name of the policies, schedules and alarms, to which what they are for is added."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$", var.name))
    error_message = "The name of the scaling \"${var.name}\" must have up to 100 letters, digits, hyphens and underscores."
  }
}

variable "schedules" {
  description = <<-EOT
    Changes of the range by the clock, by name: schedule is cron(minute hour day month weekday year), at(…) or
    rate(…); timezone is an IANA name, by which summer time is followed; min and max are the range from then on.
    What a schedule sets stays until the next one: nights need one for the evening and one for the morning.
  EOT
  type = map(object({
    max      = optional(number)
    min      = optional(number)
    schedule = string
    timezone = optional(string, "UTC")
  }))
  default  = {}
  nullable = false

  validation {
    # The service wants a question mark for one of the two kinds of day.
    condition = alltrue([for action in values(var.schedules) : anytrue([
      can(regex("^cron\\([0-9*/,-]+ [0-9*/,-]+ \\? [0-9A-Z*/,-]+ [0-9A-Z*/,#L-]+ [0-9*/,-]+\\)$", action.schedule)),
      can(regex("^cron\\([0-9*/,-]+ [0-9*/,-]+ [0-9*/,LW-]+ [0-9A-Z*/,-]+ \\? [0-9*/,-]+\\)$", action.schedule)),
      can(regex("^rate\\(([2-9]|[1-9][0-9]+) (minutes|hours|days)\\)$|^rate\\(1 (minute|hour|day)\\)$", action.schedule)),
      can(regex("^at\\([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\)$", action.schedule)),
    ])])
    error_message = "${var.name}: ${join(", ", [for name, action in var.schedules : "${name} = \"${action.schedule}\""])}: write cron(minute hour day month weekday year) with ? for the day or the weekday, such as cron(0 20 ? * MON-FRI *), or rate(1 day), or at(2027-01-31T08:00:00)."
  }
  validation {
    condition     = alltrue([for action in values(var.schedules) : can(regex("^(UTC|GMT|[A-Z][A-Za-z]+(/[A-Za-z0-9_+-]+){1,2})$", action.timezone))])
    error_message = "${var.name}: a schedule's timezone must be an IANA name, such as Europe/Berlin or America/New_York, which follows summer time; abbreviations such as CET do not."
  }
  validation {
    condition     = alltrue([for action in values(var.schedules) : action.min != null || action.max != null])
    error_message = "${var.name}: a schedule must set min, max or both. Not so: ${join(", ", [for name, action in var.schedules : name if action.min == null && action.max == null])}."
  }
  validation {
    condition     = alltrue([for action in values(var.schedules) : alltrue([for count in [action.min, action.max] : count == null ? true : count >= local._kind.least && floor(count) == count]) && (action.min == null || action.max == null ? true : action.min <= action.max)])
    error_message = "${var.name}: a schedule's min and max must be whole numbers of at least ${local._kind.least}, and min no more than max. Not so: ${join(", ", [for name, action in var.schedules : name if !(alltrue([for count in [action.min, action.max] : count == null ? true : count >= local._kind.least && floor(count) == count]) && (action.min == null || action.max == null ? true : action.min <= action.max))])}."
  }
}

variable "step" {
  description = <<-EOT
    Scaling in steps by an alarm: metric_name (of namespace, as statistic over period_s seconds) against threshold;
    steps say by how many to change from lower to upper above the threshold. dimensions are the variant's or the
    inference component's unless given.
  EOT
  type = object({
    comparison         = optional(string, "GreaterThanOrEqualToThreshold")
    cooldown_s         = optional(number, 300)
    dimensions         = optional(map(string))
    evaluation_periods = optional(number, 2)
    metric_name        = string
    namespace          = optional(string, "AWS/SageMaker")
    period_s           = optional(number, 60)
    statistic          = optional(string, "Average")
    steps = list(object({
      change = number
      lower  = optional(number)
      upper  = optional(number)
    }))
    threshold = number
  })
  default = null

  validation {
    condition     = var.step == null ? true : length(var.step.steps) > 0 && alltrue([for step in var.step.steps : step.change != 0 && floor(step.change) == step.change && (step.lower == null || step.upper == null ? step.lower != null || step.upper != null : step.lower < step.upper)])
    error_message = "${var.name}: step.steps must each have a change other than 0, in whole numbers, and lower, upper or both, with lower under upper, such as { lower = 0, change = 1 }. Bounds count from the threshold."
  }
  validation {
    condition     = var.step == null ? true : contains(["GreaterThanOrEqualToThreshold", "GreaterThanThreshold", "LessThanOrEqualToThreshold", "LessThanThreshold"], var.step.comparison)
    error_message = "${var.name}: step.comparison must be GreaterThanOrEqualToThreshold, GreaterThanThreshold, LessThanOrEqualToThreshold or LessThanThreshold."
  }
}

variable "tags" {
  description = "Tags for the scalable target and the alarms, in addition to the provider's default_tags."
  type        = map(string)
  default     = {}
  nullable    = false
}

variable "target" {
  description = <<-EOT
    What to scale. kind is instances (of a real-time variant), async (of one that has a queue), copies (of an
    inference component) or provisioned_concurrency (of a serverless variant). instance_type has a change of the
    variant's type deregister it first, without which SageMaker refuses the change.
  EOT
  type = object({
    component_name = optional(string)
    endpoint_name  = string
    instance_type  = optional(string)
    kind           = string
    variant        = optional(string, "AllTraffic")
  })
  nullable = false

  validation {
    condition     = contains(["async", "copies", "instances", "provisioned_concurrency"], var.target.kind)
    error_message = "${var.name}: target.kind is \"${var.target.kind}\" and must be instances, async, copies or provisioned_concurrency."
  }
  validation {
    condition     = (var.target.kind == "copies") == (var.target.component_name != null)
    error_message = "${var.name}: target.component_name names the inference component, whose copies are scaled; it goes with kind = \"copies\"."
  }
}

variable "tracking" {
  description = <<-EOT
    Target tracking: hold a metric at a value. metric is one of the target kind's predefined ones, or custom another.
    requests_per_second is what one instance answers at most, as measured: half of it, per minute, becomes the value.
    Left out, both have defaults where the kind has one: 5 requests in the queue per instance (async), 70 % of the
    provisioned concurrency. Null: no target tracking.
  EOT
  type = object({
    custom = optional(object({
      dimensions  = optional(map(string), {})
      metric_name = string
      namespace   = string
      statistic   = optional(string, "Average")
    }))
    disable_scale_in     = optional(bool, false)
    metric               = optional(string)
    requests_per_second  = optional(number)
    scale_in_cooldown_s  = optional(number, 300)
    scale_out_cooldown_s = optional(number, 300)
    value                = optional(number)
  })
  default = null

  validation {
    condition     = var.tracking != null || var.step != null || length(var.schedules) > 0
    error_message = "${var.name}: nothing would ever scale. Set tracking, such as { requests_per_second = 20 }, or step, or schedules."
  }
  validation {
    condition     = var.tracking == null ? true : var.tracking.metric == null || var.tracking.custom == null && contains(local._kind.metrics, coalesce(var.tracking.metric, "-"))
    error_message = "${var.name}: tracking.metric must be ${join(" or ", local._kind.metrics)} for ${var.target.kind}; another one goes into tracking.custom."
  }
  validation {
    condition     = var.tracking == null ? true : contains(var.tracking.custom == null && (var.target.kind == "provisioned_concurrency" || var.target.kind == "async" && var.tracking.metric == null) ? [0, 1] : [1], length([for value in [var.tracking.value, var.tracking.requests_per_second] : value if value != null]))
    error_message = "${var.name}: tracking needs exactly one of requests_per_second (what one instance answers at most, as make test-endpoint measures it) and value. A value of 70 would not be 70 %, but 70 requests per minute and instance."
  }
  validation {
    condition     = var.tracking == null ? true : coalesce(var.tracking.value, var.tracking.requests_per_second, 0.7) > 0 && (var.target.kind != "provisioned_concurrency" || var.tracking.custom != null || coalesce(var.tracking.value, 0.7) <= 1)
    error_message = "${var.name}: tracking's value must be over 0; of provisioned concurrency it is a share, 0.7 for 70 %."
  }
  validation {
    condition     = var.tracking == null ? true : var.tracking.requests_per_second == null || var.tracking.custom == null && contains(["SageMakerVariantInvocationsPerInstance", "SageMakerInferenceComponentInvocationsPerCopy"], coalesce(var.tracking.metric, var.target.kind == "async" ? "-" : local._kind.metrics[0]))
    error_message = "${var.name}: tracking.requests_per_second is for metrics of invocations; give tracking.value for any other."
  }
  validation {
    condition     = var.tracking == null ? true : alltrue([for seconds in [var.tracking.scale_in_cooldown_s, var.tracking.scale_out_cooldown_s] : seconds >= 0 && floor(seconds) == seconds]) && var.tracking.scale_in_cooldown_s >= var.tracking.scale_out_cooldown_s
    error_message = "${var.name}: tracking's cooldowns must be whole seconds, and scale_in_cooldown_s no less than scale_out_cooldown_s, or capacity would be taken away faster than it comes."
  }
}
