# Rules for endpoints, which the output checks. Each rule lists the endpoints that break it, so that a condition is
# written once: a validation of the variable could not refer to a local that reads the same variable.

locals {
  # Keys and <key>-<variant> begin the names of roles and alarms. "model" makes <key>-model-errors ambiguous, and
  # <key>-endpoint begins the alarm that wakes a scale-to-zero endpoint.
  _prefixes = flatten([
    for key, endpoint in var.endpoints : concat(
      [local._ids[key]],
      [for variant in try(keys(endpoint.realtime.variants), []) : "${local._ids[key]}/${variant}"],
      endpoint.scale_to_zero == null ? [] : ["${local._ids[key]}/endpoint"],
    )
  ])
  _normalised_prefixes = { for prefix in distinct(local._prefixes) : prefix => lower(replace(prefix, "/", "-")) }

  _rules = {
    endpoint_key = {
      offenders = [
        for key in distinct(concat(keys(var.endpoints), values(local._ids))) :
        "\"${key}\"" if !can(regex("^[a-z0-9]+(-[a-z0-9]+)*$", key))
      ]
      message = join(" ", [
        "Endpoint keys become part of resource names.",
        "Use lowercase letters, digits and single hyphens between them.",
      ])
    }
    endpoint_key_length = {
      offenders = [
        for key in distinct(concat(keys(var.endpoints), values(local._ids))) :
        "\"${key}\"" if length(var.name) + length(key) > 46
      ]
      message = join(" ", [
        "name and an endpoint's key can have 46 characters together,",
        "because SageMaker accepts 63 for <name>-<key>-config-<hash>. Shorten name or the key.",
      ])
    }
    renamed_from = {
      offenders = [
        for key, id in local._ids : key if length([for other in values(local._ids) : other if other == id]) > 1
      ]
      message = join(" ", [
        "renamed_from names the key that an endpoint had before, and two endpoints would keep the same resources.",
        "Remove renamed_from from the one that is new, or give the other one another key.",
      ])
    }
    endpoint_name = {
      # SageMaker compares names without regard to case.
      offenders = [
        for key, name in local._names : "${key} = ${name}"
        if length([for other in values(local._names) : other if lower(other) == lower(name)]) > 1
      ]
      message = "Two endpoints have the same name. Change an endpoint_name or a key."
    }
    name_prefix = {
      offenders = [
        for pair in setproduct(local._prefixes, local._prefixes) : join(" and ", pair)
        if pair[0] != pair[1] && contains(
          [local._normalised_prefixes[pair[1]], "${local._normalised_prefixes[pair[1]]}-model"],
          local._normalised_prefixes[pair[0]],
        )
      ]
      message = join(" ", [
        "Names of roles and alarms begin with <name>-<key> or <name>-<key>-<variant>, without regard to case,",
        "and two of them would be equal. Change a key or the name of a variant.",
      ])
    }
    kind = {
      offenders = [for key, kinds in local._kinds : key if length(kinds) != 1]
      message = join(" ", [
        "An endpoint has one type. Set exactly one of serverless = {} (billed by request),",
        "realtime = { instance_type = \"ml.g4dn.xlarge\" } (billed by the hour) and",
        "scale_to_zero = { instance_type = \"ml.g4dn.xlarge\" } (billed by the hour while it is in use).",
      ])
    }
    instance_type = {
      offenders = [
        for key, endpoint in var.endpoints : key
        if endpoint.instance_type != null || endpoint.model.hardware != null
      ]
      message = join(" ", [
        "Set instance_type inside realtime or scale_to_zero, and remove model.hardware: the instance type decides",
        "whether the GPU image is used. Serverless endpoints have no instance type and no GPU;",
        "their CPU grows with serverless.memory_mb.",
      ])
    }
    memory = {
      offenders = [
        for key, endpoint in var.endpoints : key if try(endpoint.serverless.memory_size_in_mb, null) != null
      ]
      message = "Use serverless.memory_mb instead of memory_size_in_mb."
    }
    vpc = {
      offenders = [for key, endpoint in var.endpoints : key if endpoint.serverless != null && endpoint.vpc != null]
      message = join(" ", [
        "Serverless endpoints cannot be attached to a VPC. Remove vpc, and call the endpoint from a VPC through the",
        "interface endpoint com.amazonaws.<region>.sagemaker.runtime.",
      ])
    }
    network_isolation = {
      offenders = [
        for key, endpoint in var.endpoints : key if endpoint.serverless != null && endpoint.network_isolation
      ]
      message = join(" ", [
        "Serverless endpoints do not support network isolation. Remove network_isolation;",
        "a model from an artifact downloads nothing from the Hub.",
      ])
    }
    data_capture = {
      offenders = [
        for key, endpoint in var.endpoints : key if endpoint.realtime == null && endpoint.data_capture != null
      ]
      message = join(" ", [
        "Only realtime endpoints support data capture.",
        "Remove data_capture, and record requests in the application.",
      ])
    }
    kms_key_arn = {
      offenders = [
        for key, endpoint in var.endpoints : key if endpoint.serverless != null && endpoint.kms_key_arn != null
      ]
      message = "Serverless endpoints have no volumes or S3 output to encrypt. Remove kms_key_arn."
    }
    variants = {
      offenders = [
        for key, endpoint in var.endpoints : key if contains(try(keys(endpoint.realtime.variants), []), "AllTraffic")
      ]
      message = "realtime itself describes the variant AllTraffic. Rename the variant in realtime.variants."
    }
    variant_model = {
      # Clients do not know which variant responds.
      offenders = flatten([
        for key, endpoint in var.endpoints : [
          for name, variant in try(endpoint.realtime.variants, {}) : "${key}/${name}"
          if anytrue([
            coalesce(variant.model.kind, "embedding") != coalesce(endpoint.model.kind, "embedding"),
            variant.model.dimensions != null,
            variant.model.prompts.document != null,
            variant.model.prompts.query != null,
          ])
        ]
      ])
      message = join(" ", [
        "The models of a variant and of its endpoint must have the same kind, and clients get dimensions and prompts",
        "from the endpoint's model. Remove dimensions and prompts from the variant's model, and set the same kind.",
      ])
    }
    instance_count = {
      # An update starts with the initial count: one under the minimum would drop capacity under load.
      offenders = [
        for key, endpoint in var.endpoints : key
        if try(
          endpoint.realtime.async == null && coalesce(endpoint.autoscaling.min, 1) > min(concat(
            [endpoint.realtime.instance_count],
            values(endpoint.realtime.variants)[*].instance_count,
          )...),
          false,
        )
      ]
      message = join(" ", [
        "realtime.instance_count, also of variants, must be at least autoscaling.min,",
        "because every update of an endpoint starts with that many instances. Raise instance_count.",
      ])
    }
    serverless_autoscaling = {
      offenders = [
        for key, endpoint in var.endpoints : key
        if endpoint.serverless == null || endpoint.autoscaling == null ? false : (
          endpoint.serverless.provisioned_concurrency == null ? true : (
            endpoint.serverless.provisioned_concurrency < coalesce(endpoint.autoscaling.min, 1) ||
            endpoint.serverless.max_concurrency < coalesce(endpoint.autoscaling.max, 1)
          )
        )
      ]
      message = join(" ", [
        "autoscaling of a serverless endpoint changes its provisioned concurrency; its other capacity needs none.",
        "Set serverless.provisioned_concurrency to at least autoscaling.min, and autoscaling.max to at most",
        "serverless.max_concurrency, or remove autoscaling.",
      ])
    }
    autoscaling = {
      offenders = [
        for key, endpoint in var.endpoints : key
        if endpoint.autoscaling == null ? false : (
          endpoint.scale_to_zero == null ? endpoint.autoscaling.max == null :
          endpoint.autoscaling.max != null || endpoint.autoscaling.min != null || endpoint.autoscaling.step != null
        )
      ]
      message = join(" ", [
        "autoscaling requires max, except with scale_to_zero,",
        "which has its own min and max and does not support step.",
      ])
    }
  }
  _violations = [
    for rule in values(local._rules) : "${rule.message} Affected: ${join(", ", rule.offenders)}."
    if length(rule.offenders) > 0
  ]
}
