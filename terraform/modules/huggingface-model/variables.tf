variable "alarm_names" {
  description = "Names of the rollback alarms of a real-time endpoint, which the role may describe."
  type        = list(string)
  default     = []
  nullable    = false
}

variable "component_name" {
  description = "Name of the inference component that runs the model, if any."
  type        = string
  default     = null
}

variable "endpoint_name" {
  description = "Name of the endpoint; the role may write only to its log group."
  type        = string
  nullable    = false
}

variable "hardware" {
  description = "cpu or gpu, which decides the container image."
  type        = string
  default     = "cpu"
  nullable    = false

  validation {
    condition     = contains(["cpu", "gpu"], var.hardware)
    error_message = "${var.name}: hardware is \"${var.hardware}\" and must be cpu or gpu."
  }
}

variable "hub_token" {
  description = "Hugging Face token for private or gated models; it is stored in the state."
  type        = string
  default     = null
  sensitive   = true

  validation {
    condition     = var.hub_token == null || can(regex("^\\S+$", var.hub_token))
    error_message = "hub_token must be a Hugging Face token without spaces; public models need none."
  }
}

variable "model" {
  description = "The model's source, exactly one of hub_id, artifact and image, and its container."
  type = object({
    # S3 URI of a package (.tar.gz) with the model and its handler.
    artifact = optional(string)
    # With hub_id: tei (pooled vectors, the default) or huggingface (one vector per token).
    container = optional(string)
    # Length of the vectors that clients request; defaults to the model's full length.
    dimensions = optional(number)
    # Environment variables to add to the container's or to replace.
    environment = optional(map(string), {})
    # Hugging Face Hub id; the container downloads the model when it starts.
    hub_id = optional(string)
    # URI of a custom container image in ECR.
    image = optional(string)
    # Another release of the tei or huggingface container.
    image_tag = optional(string)
    # embedding (the default), or reranker for a cross-encoder, which scores texts for a query.
    kind = optional(string)
    # Tokens that the model reads, if clients do not know the model.
    max_tokens = optional(number)
    # Hub id of the model in an artifact or image, which clients compare with theirs.
    model_id = optional(string)
    # Texts that clients put before queries and documents; "" puts none there.
    prompts = optional(object({
      # Text before a document.
      document = optional(string)
      # Text before a query.
      query = optional(string)
    }), {})
    # Commit, tag or branch of the model on the Hub.
    revision = optional(string)
    # ARN of an existing execution role, which needs the permissions of modules/execution-role.
    role_arn = optional(string)
    # Size of the model's files or unpacked image; otherwise looked up in S3 or ECR.
    size_gb = optional(number)
    # Pipeline of a model from the Hub, or of an artifact without a handler.
    task = optional(string)
  })
  nullable = false

  validation {
    condition = (
      length([for source in [var.model.artifact, var.model.hub_id, var.model.image] : source if source != null]) ==
      1
    )
    error_message = join(" ", [
      "${var.name}: set exactly one of model.hub_id, model.artifact and model.image, for example model = { hub_id",
      "= \"sentence-transformers/all-MiniLM-L6-v2\" }.",
    ])
  }
  validation {
    condition = var.model.hub_id == null || can(regex(local.hub_id_pattern, var.model.hub_id))
    error_message = join(" ", [
      "${var.name}: model.hub_id \"${coalesce(var.model.hub_id, "?")}\" is not an id of the Hugging Face Hub.",
      "Use <owner>/<model> as on the model's page, without the address, such as",
      "sentence-transformers/all-MiniLM-L6-v2.",
    ])
  }
  validation {
    condition = (
      var.model.artifact == null ||
      can(regex("^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/.+\\.tar\\.gz$", var.model.artifact))
    )
    error_message = join(" ", [
      "${var.name}: model.artifact \"${coalesce(var.model.artifact, "?")}\" must be s3://<bucket>/<key>.tar.gz.",
      "Serverless endpoints read one compressed package and reject an uncompressed prefix.",
    ])
  }
  validation {
    condition = var.model.image == null || can(regex(local.image_pattern, var.model.image))
    error_message = join(" ", [
      "${var.name}: model.image \"${coalesce(var.model.image, "?")}\" must be in a private ECR repository, with",
      "its tag or digest: <account>.dkr.ecr.<region>.amazonaws.com/<repository>:<tag>.",
      "Push images from other registries to ECR first.",
    ])
  }
  validation {
    condition = (
      var.model.container == null ? true :
      var.model.hub_id != null && contains(["huggingface", "tei"], var.model.container)
    )
    error_message = join(" ", [
      "${var.name}: model.container requires hub_id and must be \"tei\" or \"huggingface\".",
      "An artifact always runs in the huggingface container, and an image is a container itself.",
    ])
  }
  validation {
    condition = (
      var.model.image_tag == null ? true :
      var.model.image == null && can(regex("^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$", var.model.image_tag))
    )
    error_message = join(" ", [
      "${var.name}: model.image_tag must be a tag of the tei or huggingface container, such as",
      "2.0.1-tei1.9.3-cpu-py310-ubuntu24.04. The tag of a custom image belongs in model.image.",
    ])
  }
  validation {
    condition = (
      var.model.revision == null ? true :
      (var.model.hub_id != null || var.model.model_id != null) &&
      can(regex("^[A-Za-z0-9][A-Za-z0-9_./-]*$", var.model.revision))
    )
    error_message = join(" ", [
      "${var.name}: model.revision requires hub_id or model_id and must be a commit, tag or branch of that model's",
      "repository.",
    ])
  }
  validation {
    condition = (
      var.model.model_id == null ? true :
      var.model.hub_id == null && can(regex(local.hub_id_pattern, var.model.model_id))
    )
    error_message = join(" ", [
      "${var.name}: model.model_id must be the Hub id of the model in an artifact or image, such as BAAI/bge-m3.",
      "Remove it if hub_id is set.",
    ])
  }
  validation {
    condition     = var.model.size_gb == null ? true : var.model.size_gb > 0
    error_message = "${var.name}: model.size_gb must be more than 0. Remove it to look the size up."
  }
  validation {
    condition = (
      var.model.image != null ||
      length(setintersection(keys(var.model.environment), ["HF_MODEL_ID", "HF_MODEL_REVISION"])) == 0
    )
    error_message = join(" ", [
      "${var.name}: use model.hub_id and model.revision instead of HF_MODEL_ID and HF_MODEL_REVISION in",
      "model.environment. With HF_MODEL_ID the container downloads that model, and ignores an artifact.",
    ])
  }
  validation {
    condition = var.model.image != null || !contains(keys(var.model.environment), "HF_TASK")
    error_message = join(" ", [
      "${var.name}: use model.task instead of HF_TASK in model.environment. Beside an artifact, it selects the",
      "container's own pipeline, which serves a package without a handler (code/inference.py).",
    ])
  }
  validation {
    condition = var.model.task == null ? true : var.model.image == null && can(regex("^[a-z0-9-]+$", var.model.task))
    error_message = join(" ", [
      "${var.name}: model.task must be a pipeline of the Hugging Face container, such as feature-extraction, and a",
      "custom image reads none. Remove model.task, or set what the image reads in model.environment.",
    ])
  }
  validation {
    condition = (
      var.model.role_arn == null ? true :
      can(regex("^arn:[a-z-]+:iam::\\d{12}:role/[A-Za-z0-9+=,.@_/-]+$", var.model.role_arn))
    )
    error_message = join(" ", [
      "${var.name}: model.role_arn \"${coalesce(var.model.role_arn, "?")}\" must be the ARN of a role:",
      "arn:aws:iam::<account>:role/<name>. Remove it to create a role.",
    ])
  }
  validation {
    condition = (
      var.model.image != null ||
      length(setintersection(keys(var.model.environment), ["HF_API_TOKEN", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"])) == 0
    )
    error_message = join(" ", [
      "${var.name}: use hub_token instead of a token in model.environment.",
      "Plans do not show hub_token, and TEI does not start with two tokens.",
    ])
  }
  validation {
    condition     = var.model.kind == null ? true : contains(["embedding", "reranker"], var.model.kind)
    error_message = "${var.name}: model.kind is \"${coalesce(var.model.kind, "?")}\", not embedding or reranker."
  }
  validation {
    condition = alltrue([
      for number in [var.model.dimensions, var.model.max_tokens] :
      number == null ? true : number >= 1 && floor(number) == number
    ])
    error_message = join(" ", [
      "${var.name}: model.dimensions and model.max_tokens must be whole numbers of at least 1.",
      "Remove them if they are unknown: clients learn the dimensions from a response.",
    ])
  }
  validation {
    condition = var.model.kind != "reranker" || alltrue([
      for value in concat([var.model.dimensions], values(var.model.prompts)) : value == null
    ])
    error_message = join(" ", [
      "${var.name}: a reranker returns scores and reads no prompts. Remove model.dimensions and model.prompts, or",
      "set model.kind = \"embedding\".",
    ])
  }
  validation {
    condition = !(var.model.kind == "reranker" && var.model.container == "huggingface")
    error_message = join(" ", [
      "${var.name}: the huggingface container does not rerank a model from the Hub. Remove model.container to use",
      "TEI.",
    ])
  }
}

variable "name" {
  description = "Name of the model, before a hyphen and eight digits of a hash."
  type        = string
  nullable    = false

  validation {
    condition = can(regex("^[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?$", var.name)) && length(var.name) <= 54
    error_message = join(" ", [
      "The model's name \"${var.name}\" must have up to 54 letters, digits and hyphens, with no hyphen at either",
      "end: SageMaker accepts 63 and the hash needs 9.",
    ])
  }
}

variable "network_isolation" {
  description = "Whether the containers have no network, not even S3; not for models from the Hub."
  type        = bool
  default     = false
  nullable    = false

  validation {
    condition = !var.network_isolation || var.model.hub_id == null
    error_message = join(" ", [
      "${var.name}: a model from the Hub is downloaded when its container starts, and network_isolation prevents",
      "that. Package the model (model.artifact), put it into an image (model.image), or remove network_isolation.",
    ])
  }
}

variable "permissions_boundary" {
  description = "ARN of the permissions boundary of the execution role, if the organisation requires one."
  type        = string
  default     = null
}

variable "role_name" {
  description = "Name of the execution role; defaults to the model's name and -role."
  type        = string
  default     = null
}

variable "role_path" {
  description = "Path of the execution role, such as /embeddings/."
  type        = string
  default     = "/"
  nullable    = false

  validation {
    condition     = can(regex("^/([A-Za-z0-9._+=,@-]+/)*$", var.role_path))
    error_message = "role_path must begin and end with a slash, such as /embeddings/, or be a single one."
  }
}

variable "storage" {
  description = "S3 prefixes, SNS topics and KMS key that the role may use; see modules/execution-role."
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
  description = "Tags for every resource, in addition to the provider's default_tags."
  type        = map(string)
  default     = {}
  nullable    = false
}

variable "vpc" {
  description = "VPC that the containers are attached to; null uses SageMaker's own network."
  type = object({
    # Up to 5 security group ids; without any, a group for outbound HTTPS is created.
    security_group_ids = optional(list(string), [])
    # 1 to 16 subnet ids, preferably in two availability zones.
    subnet_ids = list(string)
  })
  default = null

  validation {
    condition = (
      var.vpc == null ? true :
      length(var.vpc.subnet_ids) > 0 &&
      length(var.vpc.subnet_ids) <= 16 &&
      alltrue([for id in var.vpc.subnet_ids : startswith(id, "subnet-")])
    )
    error_message = join(" ", [
      "${var.name}: vpc.subnet_ids must have 1 to 16 subnet ids, such as subnet-0123456789abcdef0, preferably in",
      "two availability zones.",
    ])
  }
  validation {
    condition = (
      var.vpc == null ? true :
      length(var.vpc.security_group_ids) <= 5 &&
      alltrue([for id in var.vpc.security_group_ids : startswith(id, "sg-")])
    )
    error_message = join(" ", [
      "${var.name}: vpc.security_group_ids must have up to 5 security group ids, such as sg-0123456789abcdef0.",
      "Remove it to create a group.",
    ])
  }
}
