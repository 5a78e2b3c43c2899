variable "health_check" {
  description = "Scheduled check of endpoints and Bedrock models; {} checks all endpoints, null checks none."
  type = object({
    actions            = optional(list(string), [])
    architecture       = optional(string, "arm64")
    bedrock_models     = optional(list(string), [])
    history_days       = optional(number)
    latency_ms         = optional(number)
    log_retention_days = optional(number)
    # Zip of the function; defaults to the one that embedstack package-functions builds.
    package        = optional(string)
    python_version = optional(string, "3.13")
    schedule       = optional(string)
  })
  default = null
}
