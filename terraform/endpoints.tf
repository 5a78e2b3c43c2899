module "serverless_endpoint" {
  source   = "./modules/serverless-endpoint"
  for_each = { for key, endpoint in local.endpoints : key => endpoint if endpoint.kind == "serverless" }

  config_name        = "${each.value.prefix}-config"
  log_retention_days = each.value.log_retention_days
  model              = module.model[each.key]
  name               = each.value.name
  serverless         = each.value.serverless
  tags               = merge(module.model[each.key].identity_tags, local.tags)
}

locals {
  # The variants besides AllTraffic, by <key>/<variant>. Each has a model of its own.
  _additional_variants = merge([
    for key, endpoint in local.endpoints : {
      for variant, settings in endpoint.realtime.variants : "${key}/${variant}" => merge(settings, {
        endpoint      = endpoint
        instance_type = coalesce(settings.instance_type, endpoint.realtime.instance_type)
        key           = key
        prefix        = "${endpoint.prefix}-${lower(variant)}"
        variant       = variant
      })
    } if endpoint.realtime != null
  ]...)
}

locals {
  # Alarms that roll a deployment back, by endpoint.
  _rollback_alarms = {
    for key, endpoint in local.endpoints : key => endpoint.realtime.deployment == null ? [] : concat(
      endpoint.realtime.deployment.rollback_alarms,
      endpoint.realtime.deployment.rollback_by_alarms ? module.observability.rollback_alarm_names[key] : [],
    ) if endpoint.kind == "realtime"
  }
  # All alarms that a deployment can name, which include the endpoint's placeholder that never fires.
  _deployment_alarm_names = {
    for key, alarms in local._rollback_alarms : key => concat(["${local.endpoints[key].name}-no-rollback"], alarms)
  }
}

module "variant_model" {
  source   = "./modules/huggingface-model"
  for_each = local._additional_variants

  alarm_names   = local._deployment_alarm_names[each.value.key]
  endpoint_name = each.value.endpoint.name
  hardware = (
    try(module.instance_types.types[each.value.instance_type].hardware, "") == "gpu" ? "gpu" :
    "cpu"
  )
  hub_token            = var.hub_token
  model                = each.value.model
  name                 = "${each.value.prefix}-model"
  network_isolation    = each.value.endpoint.network_isolation
  permissions_boundary = var.permissions_boundary
  role_path            = var.role_path
  role_name            = "${each.value.prefix}-role"
  storage              = each.value.endpoint.storage
  tags                 = local.tags
  vpc                  = each.value.endpoint.vpc
}

module "realtime_endpoint" {
  source   = "./modules/realtime-endpoint"
  for_each = { for key, endpoint in local.endpoints : key => endpoint if endpoint.kind == "realtime" }

  async              = each.value.realtime.async
  config_name        = "${each.value.prefix}-config"
  data_capture       = each.value.data_capture
  kms_key_arn        = each.value.kms_key_arn
  log_retention_days = each.value.log_retention_days
  name               = each.value.name
  tags               = merge(module.model[each.key].identity_tags, local.tags)

  deployment = each.value.realtime.deployment == null ? null : merge(
    each.value.realtime.deployment,
    { rollback_alarms = local._rollback_alarms[each.key] },
  )

  variants = merge(
    {
      AllTraffic = {
        inference_ami     = each.value.realtime.inference_ami
        instance_count    = each.value.realtime.instance_count
        instance_type     = each.value.realtime.instance_type
        model             = module.model[each.key]
        startup_timeout_s = each.value.realtime.startup_timeout_s
        volume_gb         = each.value.realtime.volume_gb
        weight            = each.value.realtime.weight
      }
    },
    {
      for variant in values(local._additional_variants) : variant.variant => {
        inference_ami     = variant.inference_ami
        instance_count    = variant.instance_count
        instance_type     = variant.instance_type
        model             = module.variant_model["${variant.key}/${variant.variant}"]
        startup_timeout_s = variant.startup_timeout_s
        volume_gb         = variant.volume_gb
        weight            = variant.weight
      } if variant.key == each.key
    },
  )
}

module "scale_to_zero_endpoint" {
  source   = "./modules/scale-to-zero-endpoint"
  for_each = { for key, endpoint in local.endpoints : key => endpoint if endpoint.kind == "scale_to_zero" }

  component_name     = each.value.component_name
  config_name        = "${each.value.prefix}-config"
  kms_key_arn        = each.value.kms_key_arn
  log_retention_days = each.value.log_retention_days
  model              = module.model[each.key]
  name               = each.value.name
  network_isolation  = each.value.network_isolation
  tags               = merge(module.model[each.key].identity_tags, local.tags)

  scale_to_zero = merge(each.value.scale_to_zero, {
    schedules = try(each.value.autoscaling.schedules, {})
    tracking  = try(each.value.autoscaling.tracking, null)
  })
}
