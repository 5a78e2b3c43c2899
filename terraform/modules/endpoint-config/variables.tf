variable "config_name" {
  description = "First part of the configuration's name, before a hyphen and eight digits of a hash."
  type        = string
  nullable    = false
}

variable "content" {
  description = "The configuration's settings, of which any change leads to a new name."
  type        = any
  nullable    = false
}

variable "endpoint_name" {
  description = "Name of the endpoint, from which SageMaker derives the log group's name."
  type        = string
  nullable    = false
}

variable "log_retention_days" {
  description = "Days for which logs are kept; 0 keeps them forever."
  type        = number
  nullable    = false
}

variable "tags" {
  description = "Tags for the log group, in addition to the provider's default_tags."
  type        = map(string)
  default     = {}
  nullable    = false
}
