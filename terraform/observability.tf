module "observability" {
  source = "./modules/observability"

  alarms        = var.alarms
  budget        = var.budget
  dashboard     = var.dashboard
  name          = var.name
  notifications = var.notifications

  pipeline = var.pipeline == null ? null : {
    dead_letter_queue = "${var.name}-pipeline-dead-letters"
    functions         = { for function in ["ingest", "search"] : function => "${var.name}-pipeline-${function}" }
    queue             = "${var.name}-pipeline-ingest"
  }

  # By name and not by what was deployed: alarms must be there before a deployment that they may take back.
  endpoints = {
    for key, endpoint in local.endpoints : key => {
      component_name = endpoint.component_name
      gpus = merge(
        { AllTraffic = try(module.instance_types.types[endpoint.instance_type].gpus, 0) },
        { for further in values(local._further_variants) : further.variant => try(module.instance_types.types[further.instance_type].gpus, 0) if further.key == key },
      )
      kind     = try(endpoint.realtime.async, null) == null ? endpoint.kind : "async"
      name     = endpoint.name
      variants = concat(["AllTraffic"], try(keys(endpoint.realtime.variants), []))
    }
  }
}
