variable "answer_buckets" {
  description = "Buckets that asynchronous endpoints put their answers into, of which the look after an apply reads some."
  type        = set(string)
  default     = []
  nullable    = false
}

variable "artifact_buckets" {
  description = "Buckets with model packages (model.artifact), which a plan looks up."
  type        = set(string)
  default     = []
  nullable    = false
}

variable "aws_region" {
  description = "Region of the state and of what the roles may deploy. Null: the one of the environment."
  type        = string
  default     = null
}

variable "branch" {
  description = "Branch from which is applied. Another than main is to be named in .github/workflows/ too: check, apply and drift."
  type        = string
  default     = "main"
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9._/-]+$", var.branch))
    error_message = "branch must be the name of one branch, without patterns: whoever may push to it may plan."
  }
}

variable "cost_allocation_tags" {
  description = "Tags to activate for cost allocation, such as [\"Project\", \"Environment\"]: by them budgets and anomalies count. AWS knows a tag about a day after its first use, and only the organisation's payer account can activate it."
  type        = set(string)
  default     = []
  nullable    = false
}

variable "create_oidc_provider" {
  description = "Whether to make the account's OIDC provider for GitHub: an account has one, so false where it is there already."
  type        = bool
  default     = true
  nullable    = false
}

variable "github_environment" {
  description = "The GitHub environment whose jobs may apply; give it required reviewers. Another than production is to be named in .github/workflows/apply.yml too."
  type        = string
  default     = "production"
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9_-]+$", var.github_environment))
    error_message = "github_environment must be the name of one environment: letters, digits, hyphens and underscores."
  }
}

variable "name" {
  description = "The project's name, the same as the root's: the roles may touch what begins with it."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9]*(-[a-z0-9]+)*$", var.name)) && length(var.name) <= 24
    error_message = "name must begin with a lower-case letter and have up to 24 lower-case letters, digits and single hyphens between them, such as alex."
  }
}

variable "repository" {
  description = "The GitHub repository that may deploy, as owner/name."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9-]+/[A-Za-z0-9._-]+$", var.repository))
    error_message = "repository must be one repository, as owner/name, such as example/embeddings: no address and no patterns, or others could deploy."
  }
}
