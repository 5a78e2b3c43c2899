data "aws_caller_identity" "current" {}

data "aws_region" "current" {}

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

  endpoints = {
    for key, endpoint in var.endpoints : key => merge(endpoint, module.endpoint_settings.endpoints[key])
  }

  _kinds = { for key, endpoint in var.endpoints : key => coalesce(endpoint.model.kind, "embedding") }
  # Endpoints that accept only InvokeEndpointAsync.
  _asynchronous = [for key, endpoint in var.endpoints : key if try(endpoint.realtime.async, null) != null]
  _embedders    = [for key in sort(keys(var.endpoints)) : key if local._kinds[key] == "embedding"]
  _rerankers = [
    for key in sort(keys(var.endpoints)) : key
    if local._kinds[key] == "reranker" && !contains(local._asynchronous, key)
  ]

  # The endpoints in .env, or null. The one that embeds: the pipeline's, as queries and documents need the same model;
  # otherwise the one with the key embedding; otherwise the first. The one that reranks in the same way.
  _primary = (
    var.pipeline != null ? var.pipeline.endpoint :
    contains(local._embedders, "embedding") ? "embedding" :
    try(local._embedders[0], null)
  )
  _reranker = (
    try(var.pipeline.reranker, null) != null ? var.pipeline.reranker :
    contains(local._rerankers, "reranker") ? "reranker" :
    try(local._rerankers[0], null)
  )
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
  vpc                  = each.value.vpc
}

locals {
  _token_level_endpoints = [for key, endpoint in var.endpoints : key if endpoint.model.container == "huggingface"]
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
      "container = \"huggingface\" with a hub_id returns one vector per token instead of one per text,",
      "and every client must pool them. Remove container to let TEI pool them.",
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
