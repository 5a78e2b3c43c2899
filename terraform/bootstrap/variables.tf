variable "async_output_buckets" {
  description = "Output buckets of asynchronous endpoints, which the check after an apply reads."
  type        = set(string)
  default     = []
  nullable    = false
}

variable "artifact_buckets" {
  description = "Buckets of model packages (model.artifact), which a plan reads."
  type        = set(string)
  default     = []
  nullable    = false
}

variable "aws_region" {
  description = "Region of the state and the deployments; defaults to AWS_REGION or the profile's region."
  type        = string
  default     = null
}

variable "branch" {
  description = "Branch that applies; another than main requires the same change in .github/workflows/."
  type        = string
  default     = "main"
  nullable    = false

  validation {
    condition = can(regex("^[A-Za-z0-9._/-]+$", var.branch))
    error_message = join(" ", [
      "branch must be the name of one branch, without patterns, because",
      "everyone who can push to it can plan.",
    ])
  }
}

variable "cost_allocation_tags" {
  description = "Tags to activate for cost allocation, such as Project; only in the organisation's payer account."
  type        = set(string)
  default     = []
  nullable    = false
}

variable "create_oidc_provider" {
  description = "Whether to create the account's OIDC provider for GitHub; an account can have only one."
  type        = bool
  default     = true
  nullable    = false
}

variable "github_environment" {
  description = "GitHub environment whose jobs may apply; .github/workflows/apply.yml must name the same one."
  type        = string
  default     = "production"
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9_-]+$", var.github_environment))
    error_message = "github_environment must be the name of one environment: letters, digits, hyphens and underscores."
  }
}

variable "name" {
  description = "Name of the project, as in the root; the roles manage resources named after it."
  type        = string
  nullable    = false

  validation {
    condition = can(regex("^[a-z][a-z0-9]*(-[a-z0-9]+)*$", var.name)) && length(var.name) <= 24
    error_message = join(" ", [
      "name must begin with a lowercase letter and have up to 24 lowercase letters, digits and single hyphens",
      "between them, such as alex.",
    ])
  }
}

variable "repository" {
  description = "The GitHub repository that may deploy, as owner/name."
  type        = string
  nullable    = false

  validation {
    condition = can(regex("^[A-Za-z0-9-]+/[A-Za-z0-9._-]+$", var.repository))
    error_message = join(" ", [
      "repository must be one repository, as owner/name, such as example/embeddings, without address and patterns,",
      "which could allow other repositories to deploy.",
    ])
  }
}
