data "aws_caller_identity" "current" {}

# The caller configures the provider: a module with a provider of its own could not be used with for_each, nor removed.
data "aws_region" "current" {
  lifecycle {
    postcondition {
      condition = var.aws_region == null || split(".", self.endpoint)[1] == var.aws_region
      error_message = join(" ", [
        "aws_region is ${coalesce(var.aws_region, "?")}, and the provider uses ${split(".", self.endpoint)[1]}.",
        "Set the environment variable AWS_REGION=${coalesce(var.aws_region, "?")}, or the region of the provider",
        "that calls this module.",
      ])
    }
  }
}

module "instance_types" {
  source = "./modules/instance-types"
}

# Checks the endpoints, and derives names and other settings from them.
module "endpoint_settings" {
  source = "./modules/endpoint-settings"

  endpoints = var.endpoints
  name      = var.name
}

locals {
  # Provider 5.100 has no attribute region, and newer ones deprecate id and name.
  _region = split(".", data.aws_region.current.endpoint)[1]

  _ids  = { for key, endpoint in module.endpoint_settings.endpoints : key => endpoint.id }
  _keys = { for key, id in local._ids : id => key }

  # By id: the first key of an endpoint, which outlives a renaming. Outputs are by key.
  endpoints = {
    for key, id in local._ids : id => merge(var.endpoints[key], module.endpoint_settings.endpoints[key])
  }

  tags = merge({ Environment = var.environment, ManagedBy = "terraform", Project = var.name }, var.tags)

  _kinds = { for key, endpoint in var.endpoints : key => coalesce(endpoint.model.kind, "embedding") }
  # Endpoints that accept only InvokeEndpointAsync.
  _asynchronous = [for id, endpoint in local.endpoints : id if try(endpoint.realtime.async, null) != null]
  _embedders    = [for key in sort(keys(var.endpoints)) : key if local._kinds[key] == "embedding"]
  _rerankers = [
    for key in sort(keys(var.endpoints)) : key
    if local._kinds[key] == "reranker" && !contains(local._asynchronous, local._ids[key])
  ]

  # The endpoints in .env, or null. The one that embeds: the pipeline's, as queries and documents need the same model;
  # otherwise the one with the key embedding; otherwise the first. The one that reranks in the same way.
  _primary_key = (
    var.pipeline != null ? var.pipeline.endpoint :
    contains(local._embedders, "embedding") ? "embedding" :
    try(local._embedders[0], null)
  )
  _reranker_key = (
    try(var.pipeline.reranker, null) != null ? var.pipeline.reranker :
    contains(local._rerankers, "reranker") ? "reranker" :
    try(local._rerankers[0], null)
  )
  _primary  = try(local._ids[local._primary_key], null)
  _reranker = try(local._ids[local._reranker_key], null)
}

locals {
  _created_as = {
    for id, endpoint in local.endpoints : endpoint.name => {
      id   = id
      kind = contains(local._asynchronous, id) ? "async" : endpoint.kind
    }
  }
}

# Remembers the kind and the id that each endpoint name was created with. SageMaker converts no endpoint to another
# kind: the old one would be deleted before the new one exists, and every request in between would fail.
resource "terraform_data" "endpoint" {
  for_each = local._created_as

  input = each.value

  lifecycle {
    # The output stays what it was at the creation.
    ignore_changes = [input]

    postcondition {
      condition = self.output.kind == each.value.kind
      error_message = join(" ", [
        "${each.key} was created as ${self.output.kind}, and SageMaker does not convert it.",
        "To change the kind without an outage, keep this endpoint, add one of the new kind under another key, apply,",
        "move the callers to it, then remove this endpoint and apply again.",
        "To accept an outage, remove this endpoint, apply, and add it with the new kind.",
      ])
    }
    postcondition {
      condition = self.output.id == each.value.id
      error_message = join(" ", [
        "${each.key} was created under the key ${self.output.id}: under ${local._keys[each.value.id]}, it would be",
        "deleted and created again. To rename the key and keep the endpoint, set",
        "endpoints.${local._keys[each.value.id]}.renamed_from = \"${self.output.id}\".",
      ])
    }
  }
}

module "model" {
  source   = "./modules/huggingface-model"
  for_each = local.endpoints

  alarm_names          = lookup(local._deployment_alarm_names, each.key, [])
  component_name       = each.value.component_name
  endpoint_name        = each.value.name
  hardware             = each.value.hardware
  hub_token            = var.hub_token
  model                = each.value.model
  name                 = "${each.value.prefix}-model"
  network_isolation    = each.value.network_isolation
  permissions_boundary = var.permissions_boundary
  role_path            = var.role_path
  role_name            = "${each.value.prefix}-role"
  storage              = each.value.storage
  tags                 = local.tags
  vpc                  = each.value.vpc
}

locals {
  # The container's own pipeline serves these.
  _token_level_endpoints = [
    for key, endpoint in var.endpoints : key
    if anytrue([
      endpoint.model.container == "huggingface",
      endpoint.model.artifact != null && endpoint.model.task == "feature-extraction",
    ])
  ]
  _named_like_rerankers = [
    for key, endpoint in var.endpoints : key
    if endpoint.model.kind == null &&
    can(regex("(?i)rerank|cross-?encoder|ms-marco-(MiniLM|TinyBERT|electra)", coalesce(endpoint.model.hub_id, "-")))
  ]
}

check "pooled_vectors" {
  assert {
    condition = length(local._token_level_endpoints) == 0
    error_message = join(" ", [
      "The Hugging Face container's own pipeline, which container = \"huggingface\" with a hub_id and task with an",
      "artifact select, returns one vector per token instead of one per text, and every client must pool them.",
      "Remove container to let TEI pool them, or package the model with a handler (embedstack package-model) and",
      "remove task.",
      "Affected: ${join(", ", local._token_level_endpoints)}.",
    ])
  }
}

check "rerankers" {
  assert {
    condition = length(local._named_like_rerankers) == 0
    error_message = join(" ", [
      "The name of the model suggests a reranker, which returns scores instead of vectors.",
      "Set model.kind = \"reranker\", or model.kind = \"embedding\" if it returns vectors.",
      "Affected: ${join(", ", local._named_like_rerankers)}.",
    ])
  }
}
