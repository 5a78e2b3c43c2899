data "aws_caller_identity" "current" {}

data "aws_region" "current" {}

module "instance_types" {
  source = "./modules/instance-types"
}

locals {
  # The endpoint that .env names: that of the pipeline, as queries and documents need the same model; else the one called
  # embedding, else the first.
  _primary = var.pipeline != null ? var.pipeline.endpoint : contains(keys(var.endpoints), "embedding") ? "embedding" : sort(keys(var.endpoints))[0]

  endpoints = {
    for key, endpoint in var.endpoints : key => merge(endpoint, {
      # The image follows the instance type. One that does not exist is refused by the endpoint's own module.
      hardware      = try(module.instance_types.types[try(endpoint.realtime.instance_type, endpoint.scale_to_zero.instance_type)].hardware, "") == "gpu" ? "gpu" : "cpu"
      instance_type = try(endpoint.realtime.instance_type, endpoint.scale_to_zero.instance_type, null)
      kind          = one([for kind in ["realtime", "scale_to_zero", "serverless"] : kind if endpoint[kind] != null])
      name          = coalesce(endpoint.endpoint_name, "${var.name}-${key}-endpoint")
      prefix        = "${var.name}-${key}"
      # Only a model in an inference component is told of one.
      component_name = endpoint.scale_to_zero == null ? null : "${var.name}-${key}-component"

      # What its role must be allowed to read and write beside the model.
      storage = {
        kms_key_arn = endpoint.kms_key_arn
        read_paths  = compact([try(endpoint.realtime.async.input_path, null)])
        topic_arns  = distinct(compact([try(endpoint.realtime.async.error_topic_arn, null), try(endpoint.realtime.async.success_topic_arn, null)]))
        write_paths = compact([try(endpoint.realtime.async.failure_path, null), try(endpoint.realtime.async.output_path, null), try(endpoint.data_capture.path, null)])
      }
    })
  }
}

module "model" {
  source   = "./modules/huggingface-model"
  for_each = local.endpoints

  alarm_names          = lookup(local._watching_alarms, each.key, [])
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

check "pooled_vectors" {
  assert {
    condition     = alltrue([for endpoint in values(var.endpoints) : endpoint.model.container != "huggingface"])
    error_message = "container = \"huggingface\" with a hub_id answers one vector per token, not one per text, and every client must pool them. Leave container out to have TEI pool them. Concerns: ${join(", ", [for key, endpoint in var.endpoints : key if endpoint.model.container == "huggingface"])}."
  }
}
