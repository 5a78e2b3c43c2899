variable "cost_report" {
  description = "Daily report of costs to the notifications' topic; {} sets defaults, null sends none."
  type = object({
    # Processor of the package: arm64 or x86_64.
    architecture = optional(string, "arm64")
    # Read Cost Explorer by the tag Project, once activated for costs; 0.02 USD a day.
    cost_explorer = optional(bool, false)
    # More settings of the function, such as COSTS_LEDGER.
    environment = optional(map(string), {})
    # Days for which logs are kept; 0 keeps them forever.
    log_retention_days = optional(number, 30)
    # Zip of the function; defaults to the one that embedstack package-functions builds.
    package = optional(string)
    # Python version of the package.
    python_version = optional(string, "3.13")
    # When to send it.
    schedule = optional(string, "cron(0 7 * * ? *)")
    # Time zone of the schedule. The report itself is of a day in UTC.
    timezone = optional(string, "UTC")
  })
  default = null

  validation {
    condition     = var.cost_report == null || var.alarms != null || var.budget != null
    error_message = "cost_report needs a topic to send to. Set alarms = {} or budget = {}, or remove cost_report."
  }
}
