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
  endpoints = {
    for key, endpoint in var.endpoints : key => merge(endpoint, module.endpoint_settings.endpoints[key])
  }

  # The endpoint in .env: the pipeline's, as queries and documents need the same model; otherwise the one with the key
  # embedding; otherwise the first.
  _primary = (
    var.pipeline != null ? var.pipeline.endpoint :
    contains(keys(var.endpoints), "embedding") ? "embedding" :
    sort(keys(var.endpoints))[0]
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
  role_name            = "${each.value.prefix}-role"
  storage              = each.value.storage
  vpc                  = each.value.vpc
}

locals {
  _token_level_endpoints = [for key, endpoint in var.endpoints : key if endpoint.model.container == "huggingface"]
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
