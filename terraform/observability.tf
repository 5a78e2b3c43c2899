locals {
  # US dollars per hour in this region, by <component>/<instance type>.
  _prices    = lookup(module.instance_types.prices, local._region, {})
  _component = { for id in keys(local.endpoints) : id => contains(local._asynchronous, id) ? "async" : "hosting" }
}

module "observability" {
  source = "./modules/observability"

  alarms    = var.alarms
  budget    = var.budget
  dashboard = var.dashboard
  name      = var.name
  notifications = merge(var.notifications, {
    # A workflow passes an empty string for a variable that is not set.
    kms_key_arn = var.notifications_key_arn == "" ? null : var.notifications_key_arn
  })
  tags = local.tags

  pipeline = var.pipeline == null ? null : {
    dead_letter_queue = "${var.name}-pipeline-dead-letters"
    functions         = { for function in ["ingest", "search"] : function => "${var.name}-pipeline-${function}" }
    queue             = "${var.name}-pipeline-ingest"
  }

  # Names rather than outputs of the endpoints: alarms must exist before a deployment that they can roll back.
  endpoints = {
    for key, endpoint in local.endpoints : key => {
      component_name = endpoint.component_name
      gpus = merge(
        { AllTraffic = try(module.instance_types.types[endpoint.instance_type].gpus, 0) },
        {
          for additional in values(local._additional_variants) :
          additional.variant => try(module.instance_types.types[additional.instance_type].gpus, 0)
          if additional.key == key
        },
      )
      # Only for prices that the price book has.
      hourly_usd = {
        for variant, instance_type in merge(
          { AllTraffic = endpoint.instance_type },
          {
            for additional in values(local._additional_variants) :
            additional.variant => additional.instance_type if additional.key == key
          },
        ) : variant => local._prices["${local._component[key]}/${instance_type}"]
        if contains(keys(local._prices), "${local._component[key]}/${coalesce(instance_type, "-")}")
      }
      kind     = try(endpoint.realtime.async, null) == null ? endpoint.kind : "async"
      name     = endpoint.name
      variants = concat(["AllTraffic"], try(keys(endpoint.realtime.variants), []))
    }
  }
}
