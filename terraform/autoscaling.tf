locals {
  # Variants that scale, by <key>/<variant>. The scale-to-zero module has its own scaling.
  _scaled = merge([
    for key, endpoint in local.endpoints : {
      for variant, instance_type in merge(
        { AllTraffic = try(endpoint.realtime.instance_type, null) },
        {
          for additional in values(local._additional_variants) :
          additional.variant => additional.instance_type if additional.key == key
        },
        ) : "${key}/${variant}" => {
        autoscaling   = endpoint.autoscaling
        instance_type = instance_type
        key           = key
        kind = (
          endpoint.kind == "serverless" ? "provisioned_concurrency" :
          endpoint.realtime.async == null ? "instances" : "async"
        )
        name    = variant == "AllTraffic" ? endpoint.prefix : "${endpoint.prefix}-${variant}"
        variant = variant
      }
    } if endpoint.autoscaling != null && endpoint.kind != "scale_to_zero"
  ]...)
}

module "autoscaling" {
  source   = "./modules/autoscaling"
  for_each = local._scaled

  name      = each.value.name
  schedules = each.value.autoscaling.schedules
  step      = each.value.autoscaling.step
  tags      = local.tags
  tracking  = each.value.autoscaling.tracking

  capacity = {
    max = each.value.autoscaling.max
    min = coalesce(each.value.autoscaling.min, each.value.kind == "async" ? 0 : 1)
  }
  target = {
    # An output of the endpoint: the target can be registered once the endpoint exists.
    endpoint_name = local._deployed[each.value.key].name
    instance_type = each.value.instance_type
    kind          = each.value.kind
    variant       = each.value.variant
  }
}
