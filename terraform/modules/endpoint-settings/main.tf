module "instance_types" {
  source = "../instance-types"
}

locals {
  _kinds = {
    for key, endpoint in var.endpoints : key => [
      for kind in ["realtime", "scale_to_zero", "serverless"] : kind if endpoint[kind] != null
    ]
  }
  # The id of an endpoint in the state and in the names of its resources: its first key, which outlives a renaming.
  _ids = { for key, endpoint in var.endpoints : key => coalesce(endpoint.renamed_from, key) }
  _names = {
    for key, endpoint in var.endpoints :
    key => coalesce(endpoint.endpoint_name, "${var.name}-${local._ids[key]}-endpoint")
  }

  _instance_types = {
    for key, endpoint in var.endpoints :
    key => try(
      endpoint.realtime.instance_type,
      coalesce(endpoint.scale_to_zero.instance_type, try(endpoint.scale_to_zero.instance_types[0], null)),
      null,
    )
  }
  # The endpoint's own module rejects an instance type that does not exist.
  _hardware = { for key, type in local._instance_types : key => try(module.instance_types.types[type].hardware, null) }

  endpoints = {
    for key, endpoint in var.endpoints : key => {
      component_name = endpoint.scale_to_zero == null ? null : "${var.name}-${local._ids[key]}-component"
      hardware       = local._hardware[key] == "gpu" ? "gpu" : "cpu"
      id             = local._ids[key]
      instance_type  = local._instance_types[key]
      kind           = try(local._kinds[key][0], null)
      name           = local._names[key]
      prefix         = "${var.name}-${local._ids[key]}"

      # S3 paths, topics and key that the execution role needs besides the model.
      storage = {
        kms_key_arn = endpoint.kms_key_arn
        read_paths  = compact([try(endpoint.realtime.async.input_path, null)])
        topic_arns = distinct(compact([
          try(endpoint.realtime.async.error_topic_arn, null),
          try(endpoint.realtime.async.success_topic_arn, null),
        ]))
        write_paths = compact([
          try(endpoint.realtime.async.failure_path, null),
          try(endpoint.realtime.async.output_path, null),
          try(endpoint.data_capture.path, null),
        ])
      }
    }
  }
}
