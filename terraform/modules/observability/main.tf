data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

data "aws_region" "current" {}

locals {
  _account   = data.aws_caller_identity.current.account_id
  _partition = data.aws_partition.current.partition
  # Provider 5.100 has no attribute region, and newer ones deprecate id and name.
  _region = split(".", data.aws_region.current.endpoint)[1]

  # The dimensions of each fleet's request and instance metrics, by <endpoint>/<variant>. Requests to an inference
  # component are counted only under its own name.
  _fleets = merge([
    for key, endpoint in var.endpoints : {
      for variant in endpoint.variants : "${key}/${variant}" => {
        host_dimensions = { EndpointName = endpoint.name, VariantName = variant }
        key             = key
        kind            = endpoint.kind
        gpus            = lookup(endpoint.gpus, variant, 0)
        is_first        = variant == endpoint.variants[0]
        name            = variant == "AllTraffic" ? key : "${key}-${variant}"
        requests_metric = endpoint.kind == "async" ? "InvocationsProcessed" : "Invocations"
        request_dimensions = (
          endpoint.component_name == null ? { EndpointName = endpoint.name, VariantName = variant } :
          { InferenceComponentName = endpoint.component_name }
        )
      }
    }
  ]...)
}
