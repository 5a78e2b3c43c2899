module "health_check" {
  source = "./modules/health-check"
  count  = var.health_check == null ? 0 : 1

  actions              = var.health_check.actions
  architecture         = var.health_check.architecture
  bedrock_models       = var.health_check.bedrock_models
  history_days         = var.health_check.history_days
  latency_ms           = var.health_check.latency_ms
  log_retention_days   = var.health_check.log_retention_days
  name                 = "${var.name}-health-check"
  permissions_boundary = var.permissions_boundary
  project              = var.name
  python_version       = var.health_check.python_version
  role_path            = var.role_path
  schedule             = var.health_check.schedule
  tags                 = local.tags

  package = coalesce(
    var.health_check.package,
    join("/", [
      "${path.module}/../.local/lambda/${var.health_check.architecture}-${var.health_check.python_version}",
      "health_check.zip",
    ]),
  )
  # The topic exists if anything notifies.
  notifications = var.alarms == null && var.budget == null ? null : {
    key_arns  = module.observability.topic_key_arns
    topic_arn = module.observability.topic_arn
  }
  endpoints = {
    for key, id in local._ids : key => {
      component_name = local.endpoints[id].component_name
      kind           = local._kinds[key]
      name           = local.endpoints[id].name
    }
  }
}
