variable "async" {
  description = <<-EOT
    Asynchronous inference: requests are read from S3 (input_path) or come with the call, wait in a queue, and
    answers go to S3 (output_path; failures to failure_path). concurrency is what one instance works on at a time;
    success_topic_arn and error_topic_arn are told. Null: the endpoint answers at once. It does one or the other.
  EOT
  type = object({
    concurrency       = optional(number, 4)
    error_topic_arn   = optional(string)
    failure_path      = optional(string)
    input_path        = string
    output_path       = string
    success_topic_arn = optional(string)
  })
  default = null

  validation {
    condition     = var.async == null ? true : alltrue([for path in compact([var.async.failure_path, var.async.input_path, var.async.output_path]) : can(regex("^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/[^*?]+$", path))])
    error_message = "${var.name}: async.input_path, output_path and failure_path must be S3 URIs of prefixes, such as s3://my-bucket/answers: the endpoint's role may touch nothing else."
  }
  validation {
    condition     = var.async == null ? true : var.async.concurrency >= 1 && var.async.concurrency <= 1000 && floor(var.async.concurrency) == var.async.concurrency
    error_message = "${var.name}: async.concurrency must be a whole number from 1 to 1000: the requests that one instance works on at a time."
  }
  validation {
    condition     = var.async == null ? true : alltrue([for arn in compact([var.async.error_topic_arn, var.async.success_topic_arn]) : can(regex("^arn:[a-z-]+:sns:", arn))])
    error_message = "${var.name}: async.error_topic_arn and success_topic_arn must be ARNs of SNS topics: arn:aws:sns:<region>:<account>:<name>."
  }
}

variable "config_name" {
  description = "Name of the endpoint's configuration, to which a hyphen and eight digits of a content hash are added. Null: the endpoint's name."
  type        = string
  default     = null

  validation {
    condition     = can(regex("^[a-zA-Z0-9](-*[a-zA-Z0-9])*$", coalesce(var.config_name, var.name))) && length(coalesce(var.config_name, var.name)) <= 54
    error_message = "The configuration's name \"${coalesce(var.config_name, var.name)}\" must have up to 54 letters, digits and hyphens, with no hyphen at either end: SageMaker takes 63 and the hash needs 9. Set config_name where the endpoint's own name is longer."
  }
}

variable "data_capture" {
  description = "Keep a percentage of the requests (Input) and answers (Output) under the S3 URI path. They hold the texts: mind who may read them. Null: none."
  type = object({
    modes      = optional(list(string), ["Input", "Output"])
    path       = string
    percentage = optional(number, 100)
  })
  default = null

  validation {
    condition     = var.data_capture == null ? true : can(regex("^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/[^*?]+$", var.data_capture.path))
    error_message = "${var.name}: data_capture.path must be the S3 URI of a prefix, such as s3://my-bucket/captured."
  }
  validation {
    condition     = var.data_capture == null ? true : var.data_capture.percentage >= 1 && var.data_capture.percentage <= 100 && floor(var.data_capture.percentage) == var.data_capture.percentage
    error_message = "${var.name}: data_capture.percentage must be a whole number from 1 to 100; leave data_capture out to keep nothing."
  }
  validation {
    condition     = var.data_capture == null ? true : length(var.data_capture.modes) > 0 && length(setsubtract(var.data_capture.modes, ["Input", "Output"])) == 0 && length(distinct(var.data_capture.modes)) == length(var.data_capture.modes)
    error_message = "${var.name}: data_capture.modes must be \"Input\", \"Output\" or both."
  }
}

variable "deployment" {
  description = <<-EOT
    How a change reaches the traffic. strategy is all_at_once, canary (percent of the new fleet first, then the
    rest), linear (percent at a time) or rolling (instances replaced percent at a time, without a second fleet).
    bake_s is watched before each next step, keep_old_s how long the old fleet stays afterwards, timeout_s when
    SageMaker gives up: an hour at most, as long as the AWS provider waits. When one of rollback_alarms fires
    meanwhile, the old fleet takes over again. Null: all at once, without a watch. All of it can be changed in place,
    for which a deployment without rollback_alarms names an alarm that never fires, <name>-no-rollback.
  EOT
  type = object({
    bake_s          = optional(number, 300)
    keep_old_s      = optional(number, 0)
    percent         = optional(number, 10)
    rollback_alarms = optional(list(string), [])
    strategy        = optional(string, "canary")
    timeout_s       = optional(number, 3600)
  })
  default = null

  validation {
    condition     = var.deployment == null ? true : contains(["all_at_once", "canary", "linear", "rolling"], var.deployment.strategy)
    error_message = "${var.name}: deployment.strategy must be all_at_once, canary, linear or rolling."
  }
  validation {
    # SageMaker's own bounds: half of the fleet at most; at least a tenth in linear steps, a twentieth in rolling ones.
    condition = var.deployment == null ? true : (
      var.deployment.strategy == "all_at_once" ||
      var.deployment.percent >= lookup({ linear = 10, rolling = 5 }, var.deployment.strategy, 1) && var.deployment.percent <= 50 && floor(var.deployment.percent) == var.deployment.percent
    )
    error_message = "${var.name}: deployment.percent must be a whole number from 1 to 50 for canary, 10 to 50 for linear and 5 to 50 for rolling."
  }
  validation {
    condition     = var.deployment == null ? true : alltrue([for seconds in [var.deployment.bake_s, var.deployment.keep_old_s] : seconds >= 0 && seconds <= 3600 && floor(seconds) == seconds])
    error_message = "${var.name}: deployment.bake_s and keep_old_s must be whole seconds from 0 to 3600."
  }
  validation {
    condition     = var.deployment == null ? true : var.deployment.timeout_s >= 600 && var.deployment.timeout_s <= 3600 && floor(var.deployment.timeout_s) == var.deployment.timeout_s
    error_message = "${var.name}: deployment.timeout_s must be whole seconds from 600 to 3600: SageMaker would take 28800, but the AWS provider waits for an hour, and the apply would fail before the deployment ends."
  }
  validation {
    # A canary bakes twice, steps as often as there are, and the old fleet is kept after the last.
    condition     = var.deployment == null ? true : lookup({ all_at_once = 1, canary = 2 }, var.deployment.strategy, ceil(100 / max(var.deployment.percent, 1))) * var.deployment.bake_s + var.deployment.keep_old_s < var.deployment.timeout_s
    error_message = "${var.name}: deployment.bake_s, once for each step, and keep_old_s add up to ${var.deployment == null ? 0 : lookup({ all_at_once = 1, canary = 2 }, var.deployment.strategy, ceil(100 / max(var.deployment.percent, 1))) * var.deployment.bake_s + var.deployment.keep_old_s} seconds, and must leave time before timeout_s. Bake shorter, take larger steps (percent), or raise timeout_s up to 3600."
  }
  validation {
    condition     = var.deployment == null ? true : length(var.deployment.rollback_alarms) <= 10
    error_message = "${var.name}: SageMaker watches up to 10 alarms, and deployment.rollback_alarms has ${try(length(var.deployment.rollback_alarms), 0)}. In the root, var.alarms adds three for each variant: name fewer of your own, or set rollback_by_alarms = false and name the ten that say most."
  }
  validation {
    condition     = var.deployment == null ? true : var.deployment.strategy != "rolling" || length(var.variants) == 1
    error_message = "${var.name}: rolling deployments need an endpoint with one variant. Take all_at_once, canary or linear."
  }
}

variable "kms_key_arn" {
  description = "ARN of the KMS key for the instances' volumes (where the host has no disks of its own), asynchronous answers and captured data. Null: AWS's own keys."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_arn == null || can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:\\d{12}:key/.+$", var.kms_key_arn))
    error_message = "${var.name}: kms_key_arn must be a key's ARN, not an alias: arn:aws:kms:<region>:<account>:key/<id>."
  }
}

variable "log_retention_days" {
  description = "Days for which the endpoint's logs are kept; 0 keeps them for ever."
  type        = number
  default     = 30
  nullable    = false

  validation {
    condition     = contains([0, 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_retention_days)
    error_message = "${var.name}: log_retention_days must be a period that CloudWatch offers: 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288 or 3653 days, or 0 for ever."
  }
}

variable "name" {
  description = "Name of the endpoint. It stays, whatever changes behind it."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-zA-Z0-9](-*[a-zA-Z0-9])*$", var.name)) && length(var.name) <= 63
    error_message = "The endpoint's name \"${var.name}\" must have up to 63 letters, digits and hyphens, with no hyphen at either end."
  }
}

variable "tags" {
  description = "Tags for the endpoint, its configuration and log group, in addition to the provider's default_tags."
  type        = map(string)
  default     = {}
  nullable    = false
}
