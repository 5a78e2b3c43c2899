variable "force_destroy" {
  description = "Whether a destroy deletes the bucket with its collections; otherwise the bucket must be empty."
  type        = bool
  default     = false
  nullable    = false
}

variable "kms_key_arn" {
  description = "ARN of the KMS key, which cannot change; defaults to S3's key."
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

variable "name" {
  description = "Name of the bucket, which cannot change."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", var.name))
    error_message = "name must have 3 to 63 lowercase letters, digits and hyphens, with no hyphen at either end."
  }
}

variable "policy_json" {
  description = "Policy of the bucket, for other accounts; null sets none."
  type        = string
  default     = null
}

variable "tags" {
  description = "Tags for the bucket, in addition to the provider's default_tags."
  type        = map(string)
  default     = {}
  nullable    = false
}
