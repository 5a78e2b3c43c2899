data "aws_ecr_image" "own" {
  count = var.model.image != null && var.model.size_gb == null ? 1 : 0

  registry_id     = try(local._own_image.account, null)
  repository_name = try(local._own_image.repository, null)
  image_digest    = try(local._own_image.digest, null)
  # With a digest the tag is decoration, and ECR would demand that both agree.
  image_tag = try(local._own_image.digest == null ? local._own_image.tag : null, null)
}

data "aws_region" "current" {}

data "aws_s3_object" "artifact" {
  count = var.model.artifact != null && var.model.size_gb == null ? 1 : 0

  bucket = local._artifact.bucket
  key    = local._artifact.key
}

# The registry's account differs per region and per container: the provider knows the table.
data "aws_sagemaker_prebuilt_ecr_image" "container" {
  count = var.model.image == null ? 1 : 0

  repository_name = local._container.repository
  image_tag       = coalesce(var.model.image_tag, local._container.tag)

  lifecycle {
    precondition {
      condition     = contains(module.container_images.regions, data.aws_region.current.id)
      error_message = "${var.name}: AWS publishes no ${local._container.repository} image in ${data.aws_region.current.id}, but in ${join(", ", module.container_images.regions)}. Deploy in one of these, or copy the image to ECR in your region and write model.image."
    }
  }
}

locals {
  hub_id_pattern = "^[A-Za-z0-9][A-Za-z0-9_.-]{0,95}(/[A-Za-z0-9][A-Za-z0-9_.-]{0,95})?$"

  model_id = try(coalesce(var.model.hub_id, var.model.model_id), null)
  # embedstack.embedders.sagemaker_identity reads these.
  identity_tags = merge(
    local.model_id == null ? {} : { "embedstack:model-id" = local.model_id },
    local.model_id == null || var.model.revision == null ? {} : { "embedstack:model-revision" = var.model.revision },
  )

  _artifact = try(regex("^s3://(?P<bucket>[^/]+)/(?P<key>.+)$", var.model.artifact), { bucket = null, key = null })

  _container = lookup(module.container_images.images, local.container, module.container_images.images.tei)[var.hardware]

  _own_image = try(
    regex(
      "^(?P<account>\\d{12})\\.dkr\\.ecr(?:-fips)?\\.(?P<region>[a-z0-9-]+)\\.[^/]+/(?P<repository>[^:@]+)(?::(?P<tag>[^@]+))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?$",
      var.model.image,
    ),
    null,
  )

  # Each model server worker loads its own copy of the model: one fits, two may not.
  _toolkit_environment = { SAGEMAKER_MODEL_SERVER_WORKERS = "1" }
  _hub_environment = merge(
    {
      HF_MODEL_ID = var.model.hub_id
      HF_TASK     = var.model.task
    },
    var.model.revision == null ? {} : { HF_MODEL_REVISION = var.model.revision },
    # Serverless containers cannot write to most of their image's file system. /opt/ml/model is free
    # because a model from the Hub mounts nothing there.
    local.container == "tei" ? { HUGGINGFACE_HUB_CACHE = "/opt/ml/model" } : local._toolkit_environment,
  )

  # HF_TOKEN alone serves both containers: TEI refuses to start when HF_API_TOKEN is set beside it, and
  # in the other container HF_API_TOKEN makes the toolkit log in, which writes to the home folder.
  _secret_environment = {
    for key in nonsensitive(var.hub_token == null) || var.model.hub_id == null ? [] : ["HF_TOKEN"] : key => var.hub_token
  }

  container = (
    var.model.image != null ? "custom" :
    var.model.artifact != null ? "huggingface" :
    coalesce(var.model.container, "tei")
  )
  environment = merge(
    var.model.image != null ? {} : var.model.artifact != null ? local._toolkit_environment : local._hub_environment,
    var.model.environment,
  )
  image_uri = coalesce(var.model.image, one(data.aws_sagemaker_prebuilt_ecr_image.container[*].registry_path))

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

  # Everything that replaces the model is in here, or the new one would collide with the old one's name.
  # So are the digest and the ETag: new content under an old tag or key is a new model.
  _content = merge({
    artifact           = var.model.artifact
    artifact_etag      = one(data.aws_s3_object.artifact[*].etag)
    environment        = merge(local.environment, local._secret_environment)
    execution_role_arn = module.execution_role.arn
    image              = local.image_uri
    image_digest       = one(data.aws_ecr_image.own[*].image_digest)
    },
    var.network_isolation ? { network_isolation = true } : {},
    local.vpc == null ? {} : { vpc = local.vpc },
  )
  # What is taken from a hash over all of this tells nothing about the token.
  _content_hash = nonsensitive(sha256(jsonencode(local._content)))

  name = "${var.name}-${substr(sha256("${local._content_hash} ${terraform_data.deployment.id}"), 0, 8)}"
}

# Makes the way back to former settings a new name too: after a deployment that SageMaker rolled back, the
# former model is still in use, and its name taken.
resource "terraform_data" "deployment" {
  triggers_replace = local._content_hash
}

module "container_images" {
  source = "../container-images"
}

module "execution_role" {
  source = "../execution-role"

  alarm_names          = var.alarm_names
  artifact             = var.model.artifact
  component_name       = var.component_name
  endpoint_name        = var.endpoint_name
  image_uri            = local.image_uri
  name                 = coalesce(var.role_name, "${var.name}-role")
  permissions_boundary = var.permissions_boundary
  storage              = var.storage
  tags                 = var.tags
  vpc                  = local.vpc
}

resource "aws_sagemaker_model" "embeddings" {
  #checkov:skip=CKV_AWS_370:Serverless inference refuses network isolation, and a model from the Hub is downloaded when its container starts
  name                     = local.name
  enable_network_isolation = var.network_isolation
  execution_role_arn       = module.execution_role.arn
  tags                     = merge(local.identity_tags, var.tags)

  primary_container {
    environment    = merge(local.environment, local._secret_environment)
    image          = local.image_uri
    model_data_url = var.model.artifact
  }

  # An inference component's containers take the network of their endpoint, not of their model.
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
      condition     = length(local.environment) + length(local._secret_environment) <= 100
      error_message = "${var.name}: model.environment makes ${length(local.environment) + length(local._secret_environment)} variables with those that the container needs, and SageMaker takes 100."
    }
    precondition {
      condition     = length(join("", concat(keys(local.environment), values(local.environment)))) + nonsensitive(length(join("", concat(keys(local._secret_environment), values(local._secret_environment))))) <= 32768
      error_message = "${var.name}: model.environment is over 32 KB, names and values together, which SageMaker refuses. Put what is long into the artifact or the image."
    }
    precondition {
      condition     = try(local._own_image.region, data.aws_region.current.id) == data.aws_region.current.id
      error_message = "${var.name}: model.image is in ${try(local._own_image.region, "another region")}, the endpoint in ${data.aws_region.current.id}. SageMaker pulls from its own region only: replicate the repository and name the copy."
    }
  }
}
