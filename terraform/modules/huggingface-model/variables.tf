variable "alarm_names" {
  description = "Names of the alarms that deployments of a real-time endpoint are watched by, for the role (see modules/execution-role): <endpoint>-no-rollback, where there is no other."
  type        = list(string)
  default     = []
  nullable    = false
}

variable "component_name" {
  description = "Name of the inference component that the model is to run in, where it runs in one."
  type        = string
  default     = null
}

variable "endpoint_name" {
  description = "Name of the endpoint that is to serve the model: the model's role may write to this endpoint's log group only."
  type        = string
  nullable    = false
}

variable "hardware" {
  description = "What the model runs on, cpu or gpu: it picks the container's image."
  type        = string
  default     = "cpu"
  nullable    = false

  validation {
    condition     = contains(["cpu", "gpu"], var.hardware)
    error_message = "${var.name}: hardware is \"${var.hardware}\" and must be cpu or gpu."
  }
}

variable "hub_token" {
  description = "Token for private or gated models on the Hub. It is kept in the state and in the model's environment: an artifact needs none."
  type        = string
  default     = null
  sensitive   = true

  validation {
    condition     = var.hub_token == null || can(regex("^\\S+$", var.hub_token))
    error_message = "hub_token must be a Hugging Face token without spaces; leave it out (null) for public models."
  }
}

variable "model" {
  description = <<-EOT
    Where the model comes from, exactly one of:
    - hub_id: a model of the Hugging Face Hub, downloaded when the container starts. revision pins it; task is its
      pipeline; container is "tei" (pooled vectors, the default) or "huggingface" (one vector per token);
    - artifact: a package (s3://bucket/key.tar.gz) with the model and its handler, run by the HuggingFace container;
    - image: a container image of one's own in ECR.
    model_id is the Hub id of the model in an artifact or an image, by which clients see that it is the one that they
    expect; revision pins a model of the Hub, and names the revision in an artifact or an image.
    environment adds variables to the container, or replaces those set here. image_tag picks another release of the
    tei or huggingface container. size_gb is the size of what you supply (the Hub model's or artifact's files, or
    the unpacked image) and takes the place of the look-up in S3 or ECR; without that look-up, new content under
    the same key or tag goes unnoticed.
  EOT
  type = object({
    artifact    = optional(string)
    container   = optional(string)
    environment = optional(map(string), {})
    hub_id      = optional(string)
    image       = optional(string)
    image_tag   = optional(string)
    model_id    = optional(string)
    revision    = optional(string)
    size_gb     = optional(number)
    task        = optional(string, "feature-extraction")
  })
  nullable = false

  validation {
    condition     = length([for source in [var.model.artifact, var.model.hub_id, var.model.image] : source if source != null]) == 1
    error_message = "${var.name}: model must say where the model comes from, by exactly one of hub_id, artifact and image, for example model = { hub_id = \"sentence-transformers/all-MiniLM-L6-v2\" }."
  }
  validation {
    condition     = var.model.hub_id == null || can(regex(local.hub_id_pattern, var.model.hub_id))
    error_message = "${var.name}: model.hub_id \"${coalesce(var.model.hub_id, "?")}\" is no id of the Hugging Face Hub: write <owner>/<model> as the model's page shows it, without the address, such as sentence-transformers/all-MiniLM-L6-v2."
  }
  validation {
    condition     = var.model.artifact == null || can(regex("^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/.+\\.tar\\.gz$", var.model.artifact))
    error_message = "${var.name}: model.artifact \"${coalesce(var.model.artifact, "?")}\" must be s3://<bucket>/<key>.tar.gz. Serverless endpoints read one compressed package and refuse an uncompressed prefix."
  }
  validation {
    condition     = var.model.image == null || can(regex("^\\d{12}\\.dkr\\.ecr(-fips)?\\.[a-z0-9-]+\\.amazonaws\\.com(\\.cn)?/[a-z0-9][a-z0-9._/-]*(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}|(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?@sha256:[0-9a-f]{64})$", var.model.image))
    error_message = "${var.name}: model.image \"${coalesce(var.model.image, "?")}\" must be in a private ECR repository, with its tag or digest: <account>.dkr.ecr.<region>.amazonaws.com/<repository>:<tag>. Push images of other registries to ECR first."
  }
  validation {
    condition     = var.model.container == null ? true : var.model.hub_id != null && contains(["huggingface", "tei"], var.model.container)
    error_message = "${var.name}: model.container goes with hub_id and is \"tei\" or \"huggingface\". An artifact always runs in the HuggingFace container, and an image is its own."
  }
  validation {
    condition     = var.model.image_tag == null ? true : var.model.image == null && can(regex("^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$", var.model.image_tag))
    error_message = "${var.name}: model.image_tag is a tag of the tei or huggingface container, such as 2.0.1-tei1.8.2-cpu-py310-ubuntu22.04. The tag of an image of your own belongs into model.image."
  }
  validation {
    condition     = var.model.revision == null ? true : (var.model.hub_id != null || var.model.model_id != null) && can(regex("^[A-Za-z0-9][A-Za-z0-9_./-]*$", var.model.revision))
    error_message = "${var.name}: model.revision goes with hub_id or model_id and is a commit, tag or branch of that model's repository."
  }
  validation {
    condition     = var.model.model_id == null ? true : var.model.hub_id == null && can(regex(local.hub_id_pattern, var.model.model_id))
    error_message = "${var.name}: model.model_id is the Hub id of the model in an artifact or an image, such as BAAI/bge-m3. Beside hub_id leave it out."
  }
  validation {
    condition     = var.model.size_gb == null ? true : var.model.size_gb > 0
    error_message = "${var.name}: model.size_gb must be over 0, in GB; leave it out to have the size looked up."
  }
  validation {
    condition     = alltrue([for key, value in var.model.environment : can(regex("^[a-zA-Z_][a-zA-Z0-9_]*$", key)) && max(length(key), length(value)) <= 1024])
    error_message = "${var.name}: model.environment takes names of letters, digits and underscores, and names and values of up to 1024 characters. Not so: ${join(", ", [for key, value in var.model.environment : key if !can(regex("^[a-zA-Z_][a-zA-Z0-9_]*$", key)) || max(length(key), length(value)) > 1024])}."
  }
  validation {
    condition     = var.model.image != null || length(setintersection(keys(var.model.environment), ["HF_MODEL_ID", "HF_MODEL_REVISION", "HF_TASK"])) == 0
    error_message = "${var.name}: write model.hub_id, model.revision and model.task instead of HF_MODEL_ID, HF_MODEL_REVISION and HF_TASK in model.environment. Beside an artifact they would make the container ignore it."
  }
  validation {
    condition     = var.model.image != null || length(setintersection(keys(var.model.environment), ["HF_API_TOKEN", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"])) == 0
    error_message = "${var.name}: write hub_token instead of a token in model.environment: it is kept out of plans, and TEI does not start with two."
  }
}

variable "name" {
  description = "Name of the model; a hyphen and eight digits of a content hash are added."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?$", var.name)) && length(var.name) <= 54
    error_message = "The model's name \"${var.name}\" must have up to 54 letters, digits and hyphens, with no hyphen at either end: SageMaker takes 63 and the hash needs 9."
  }
}

variable "network_isolation" {
  description = "Cut the containers off from every network, even from S3: for an artifact or an image that brings its model."
  type        = bool
  default     = false
  nullable    = false

  validation {
    condition     = !var.network_isolation || var.model.hub_id == null
    error_message = "${var.name}: a model from the Hub is downloaded when its container starts, which network_isolation forbids. Package it (model.artifact) or put it into an image (model.image), or leave network_isolation out."
  }
}

variable "permissions_boundary" {
  description = "ARN of the policy that bounds the execution role, where the organisation demands one."
  type        = string
  default     = null
}

variable "role_name" {
  description = "Name of the execution role. Null: the model's name and -role."
  type        = string
  default     = null
}

variable "storage" {
  description = "What the endpoint reads and writes beside its model, for its role (see modules/execution-role)."
  type = object({
    kms_key_arn = optional(string)
    read_paths  = optional(list(string), [])
    topic_arns  = optional(list(string), [])
    write_paths = optional(list(string), [])
  })
  default  = {}
  nullable = false
}

variable "tags" {
  description = "Tags for the model and its role, in addition to the provider's default_tags."
  type        = map(string)
  default     = {}
  nullable    = false
}

variable "vpc" {
  description = <<-EOT
    Subnets of the account that the containers are attached to, and their security groups; without any, a group
    is made that lets HTTPS out and nothing in. Null: SageMaker's own network.
  EOT
  type = object({
    security_group_ids = optional(list(string), [])
    subnet_ids         = list(string)
  })
  default = null

  validation {
    condition     = var.vpc == null ? true : length(var.vpc.subnet_ids) > 0 && length(var.vpc.subnet_ids) <= 16 && alltrue([for id in var.vpc.subnet_ids : startswith(id, "subnet-")])
    error_message = "${var.name}: vpc.subnet_ids must have 1 to 16 subnets' ids, such as subnet-0123456789abcdef0, best in two availability zones."
  }
  validation {
    condition     = var.vpc == null ? true : length(var.vpc.security_group_ids) <= 5 && alltrue([for id in var.vpc.security_group_ids : startswith(id, "sg-")])
    error_message = "${var.name}: vpc.security_group_ids must have up to 5 security groups' ids, such as sg-0123456789abcdef0; leave it out to have one made."
  }
}
