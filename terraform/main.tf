data "aws_caller_identity" "current" {}

data "aws_region" "current" {}

locals {
  # The endpoint that .env names: the one called embedding, else the first.
  _primary = contains(keys(var.endpoints), "embedding") ? "embedding" : sort(keys(var.endpoints))[0]

  endpoints = {
    for key, endpoint in var.endpoints : key => merge(endpoint, {
      name   = coalesce(endpoint.endpoint_name, "${var.name}-${key}-endpoint")
      prefix = "${var.name}-${key}"
    })
  }
}

module "model" {
  source   = "./modules/huggingface-model"
  for_each = local.endpoints

  endpoint_name        = each.value.name
  hub_token            = var.hub_token
  model                = each.value.model
  name                 = "${each.value.prefix}-model"
  permissions_boundary = var.permissions_boundary
  role_name            = "${each.value.prefix}-role"
}

module "serverless_endpoint" {
  source   = "./modules/serverless-endpoint"
  for_each = { for key, endpoint in local.endpoints : key => endpoint if endpoint.serverless != null }

  config_name        = "${each.value.prefix}-config"
  log_retention_days = each.value.log_retention_days
  model              = module.model[each.key]
  name               = each.value.name
  serverless         = each.value.serverless
}

check "pooled_vectors" {
  assert {
    condition     = alltrue([for endpoint in values(var.endpoints) : endpoint.model.container != "huggingface"])
    error_message = "container = \"huggingface\" with a hub_id answers one vector per token, not one per text, and every client must pool them. Leave container out to have TEI pool them. Concerns: ${join(", ", [for key, endpoint in var.endpoints : key if endpoint.model.container == "huggingface"])}."
  }
}
