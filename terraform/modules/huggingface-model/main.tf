data "aws_ecr_image" "own" {
  count = var.model.image != null && var.model.size_gb == null ? 1 : 0

  registry_id     = try(local._own_image.account, null)
  repository_name = try(local._own_image.repository, null)
  image_digest    = try(local._own_image.digest, null)
  # ECR requires that tag and digest agree, and the digest alone identifies the image.
  image_tag = try(local._own_image.digest == null ? local._own_image.tag : null, null)
}

data "aws_region" "current" {}

data "aws_s3_object" "artifact" {
  count = var.model.artifact != null && var.model.size_gb == null ? 1 : 0

  bucket = local._artifact.bucket
  key    = local._artifact.key
}

# The provider knows the registry's account of each region and container.
data "aws_sagemaker_prebuilt_ecr_image" "container" {
  count = var.model.image == null ? 1 : 0

  repository_name = local._container.repository
  image_tag       = local._image_tag

  lifecycle {
    precondition {
      condition = contains(module.container_images.regions, local._region)
      error_message = join(" ", [
        "${var.name}: AWS does not publish the ${local._container.repository} image in",
        "${local._region}.",
        "Deploy in one of the supported regions, or copy the image to ECR in your region and set model.image.",
        "Supported regions: ${join(", ", module.container_images.regions)}.",
      ])
    }
  }
}

locals {
  # Provider 5.100 has no attribute region, and newer ones deprecate id and name.
  _region = split(".", data.aws_region.current.endpoint)[1]

  _tag_pattern = "[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"
  image_pattern = join("", [
    "^\\d{12}\\.dkr\\.ecr(-fips)?\\.[a-z0-9-]+\\.amazonaws\\.com(\\.cn)?/[a-z0-9][a-z0-9._/-]*",
    "(:${local._tag_pattern}|(:${local._tag_pattern})?@sha256:[0-9a-f]{64})$",
  ])
  hub_id_pattern = "^[A-Za-z0-9][A-Za-z0-9_.-]{0,95}(/[A-Za-z0-9][A-Za-z0-9_.-]{0,95})?$"

  kind     = coalesce(var.model.kind, "embedding")
  model_id = try(coalesce(var.model.hub_id, var.model.model_id), null)
  # src/embedstack/embedders/sagemaker/model_identity.py reads these tags.
  identity_tags = merge(
    local.model_id == null ? {} : { "embedstack:model-id" = local.model_id },
    local.model_id == null || var.model.revision == null ? {} : { "embedstack:model-revision" = var.model.revision },
  )

  _artifact = try(regex("^s3://(?P<bucket>[^/]+)/(?P<key>.+)$", var.model.artifact), { bucket = null, key = null })

  _container = lookup(
    module.container_images.images,
    local.container,
    module.container_images.images.tei,
  )[var.hardware]

  _own_image = try(
    regex(
      join("", [
        "^(?P<account>\\d{12})\\.dkr\\.ecr(?:-fips)?\\.(?P<region>[a-z0-9-]+)\\.[^/]+/",
        "(?P<repository>[^:@]+)(?::(?P<tag>[^@]+))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?$",
      ]),
      var.model.image,
    ),
    null,
  )

  _image_tag = coalesce(var.model.image_tag, local._container.tag)

  # From 1.9 on, TEI truncates long texts of requests without "truncate" unless told not to; told so, it does not start
  # for a model that reads more tokens than a batch has, 16,384 by default. Older ones never respond to such a text.
  # A release that the table does not list is treated as the newest.
  _tei_release = lookup(
    module.container_images.tei_releases,
    try(regex("tei(\\d+\\.\\d+\\.\\d+)", local._image_tag)[0], ""),
    { truncates_by_default = true },
  )
  _tei_batch_tokens = 16384
  _tei_environment = merge(
    local._tei_release.truncates_by_default ? { AUTO_TRUNCATE = "false" } : {},
    try(var.model.max_tokens > local._tei_batch_tokens, false) ? {
      MAX_BATCH_TOKENS = tostring(var.model.max_tokens)
    } : {},
    # Serverless containers cannot write to most of their file system. A model from the Hub leaves /opt/ml/model free.
    { HUGGINGFACE_HUB_CACHE = "/opt/ml/model" },
  )

  # Each worker of the model server loads its own copy of the model, and memory may not suffice for two.
  _toolkit_environment = { SAGEMAKER_MODEL_SERVER_WORKERS = "1" }
  # With a task, the toolkit serves a package without a handler by a pipeline of transformers.
  _artifact_environment = merge(
    local._toolkit_environment,
    var.model.task == null ? {} : { HF_TASK = var.model.task },
  )
  _hub_environment = merge(
    {
      HF_MODEL_ID = var.model.hub_id
      HF_TASK     = coalesce(var.model.task, local.kind == "reranker" ? "text-classification" : "feature-extraction")
    },
    var.model.revision == null ? {} : { HF_MODEL_REVISION = var.model.revision },
    local.container == "tei" ? local._tei_environment : local._toolkit_environment,
  )

  # Both containers read HF_TOKEN. TEI does not start if HF_API_TOKEN is set, too, and the other container's toolkit
  # logs in with HF_API_TOKEN, which writes to the home folder.
  _needs_token        = nonsensitive(var.hub_token != null) && var.model.hub_id != null
  _secret_environment = { for key in local._needs_token ? ["HF_TOKEN"] : [] : key => var.hub_token }

  container = (
    var.model.image != null ? "custom" :
    var.model.artifact != null ? "huggingface" :
    coalesce(var.model.container, "tei")
  )
  environment = merge(
    var.model.image != null ? {} : var.model.artifact != null ? local._artifact_environment : local._hub_environment,
    var.model.environment,
  )
  _variables         = merge(local.environment, local._secret_environment)
  _environment_bytes = nonsensitive(length(join("", concat(keys(local._variables), values(local._variables)))))
  _variable_count    = length(local.environment) + length(local._secret_environment)
  _invalid_variables = [
    for name, value in var.model.environment : name
    if !can(regex("^[a-zA-Z_][a-zA-Z0-9_]*$", name)) || max(length(name), length(value)) > 1024
  ]

  _invalid_prompts = [
    for name, prompt in var.model.prompts : name
    if prompt == null ? false : length(prompt) > 1000 || can(regex("[[:cntrl:]]", replace(prompt, "/[\\n\\t]/", "")))
  ]

  _image_region = try(local._own_image.region, local._region)
  image_uri     = coalesce(var.model.image, one(data.aws_sagemaker_prebuilt_ecr_image.container[*].registry_path))

  artifact_size_gb = (
    var.model.image != null ? null :
    var.model.size_gb != null ? var.model.size_gb :
    try(one(data.aws_s3_object.artifact[*].content_length) / pow(1024, 3), null)
  )
  image_size_gb = (
    var.model.image == null ? null :
    var.model.size_gb != null ? var.model.size_gb :
    try(one(data.aws_ecr_image.own[*].image_size_in_bytes) / pow(1024, 3), null)
  )

  # Contains everything that replaces the model, because the new one needs another name. Digest and ETag belong to it:
  # new content under the same tag or key is a new model.
  _content = merge({
    artifact           = var.model.artifact
    artifact_etag      = one(data.aws_s3_object.artifact[*].etag)
    environment        = merge(local.environment, local._secret_environment)
    execution_role_arn = local.role_arn
    image              = local.image_uri
    image_digest       = one(data.aws_ecr_image.own[*].image_digest)
    },
    var.network_isolation ? { network_isolation = true } : {},
    local.vpc == null ? {} : { vpc = local.vpc },
  )
  # A hash over all of this does not reveal the token.
  _content_hash = nonsensitive(sha256(jsonencode(local._content)))

  name = "${var.name}-${substr(sha256("${local._content_hash} ${terraform_data.deployment.id}"), 0, 8)}"
}

# Settings that return to earlier values get a new name, too: after SageMaker has rolled back a deployment, the earlier
# model is still in use, and its name is taken.
resource "terraform_data" "deployment" {
  triggers_replace = local._content_hash
}

module "container_images" {
  source = "../container-images"
}

locals {
  role_arn = coalesce(var.model.role_arn, one(module.execution_role[*].arn))
}

module "execution_role" {
  source = "../execution-role"
  count  = var.model.role_arn == null ? 1 : 0

  alarm_names          = var.alarm_names
  artifact             = var.model.artifact
  component_name       = var.component_name
  endpoint_name        = var.endpoint_name
  image_uri            = local.image_uri
  name                 = coalesce(var.role_name, "${var.name}-role")
  permissions_boundary = var.permissions_boundary
  role_path            = var.role_path
  storage              = var.storage
  tags                 = var.tags
  vpc                  = local.vpc
}

resource "aws_sagemaker_model" "embeddings" {
  #checkov:skip=CKV_AWS_370:Serverless inference and models from the Hub do not support network isolation
  name                     = local.name
  enable_network_isolation = var.network_isolation
  execution_role_arn       = local.role_arn
  tags                     = merge(local.identity_tags, var.tags)

  primary_container {
    environment    = merge(local.environment, local._secret_environment)
    image          = local.image_uri
    model_data_url = var.model.artifact
  }

  # The containers of an inference component use the network of their endpoint, not of their model.
  dynamic "vpc_config" {
    for_each = local.vpc != null && var.component_name == null ? [local.vpc] : []

    content {
      security_group_ids = vpc_config.value.security_group_ids
      subnets            = vpc_config.value.subnet_ids
    }
  }

  lifecycle {
    create_before_destroy = true

    precondition {
      condition = length(local._invalid_variables) == 0
      error_message = join(" ", [
        "${var.name}: names in model.environment must have letters, digits and underscores, and names and values",
        "up to 1024 characters. Affected: ${join(", ", local._invalid_variables)}.",
      ])
    }
    precondition {
      condition = length(local._invalid_prompts) == 0
      error_message = join(" ", [
        "${var.name}: each of model.prompts must have up to 1,000 characters and no control characters other than",
        "line breaks and tabs. Affected: ${join(", ", local._invalid_prompts)}.",
      ])
    }
    precondition {
      condition = local._variable_count <= 100
      error_message = join(" ", [
        "${var.name}: model.environment and the variables that the container needs are ${local._variable_count}",
        "variables, and SageMaker accepts 100. Remove some.",
      ])
    }
    precondition {
      condition = local._environment_bytes <= 32768
      error_message = join(" ", [
        "${var.name}: names and values in model.environment exceed 32 KB together, SageMaker's limit.",
        "Move long values into the artifact or the image.",
      ])
    }
    precondition {
      condition = local._image_region == local._region
      error_message = join(" ", [
        "${var.name}: model.image is in ${local._image_region} and the endpoint in ${local._region}.",
        "SageMaker pulls images only from its own region: replicate the repository, and set model.image to the",
        "copy.",
      ])
    }
  }
}
