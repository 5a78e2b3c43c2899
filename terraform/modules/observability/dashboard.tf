locals {
  _row_height  = 8
  _fleet_order = sort(keys(local._fleets))

  # A metric of a dashboard is a flat list: namespace, name, alternating names and values of dimensions, options.
  _asked = {
    for key, fleet in local._fleets : key => flatten([for name, value in fleet.request_dimensions : [name, value]])
  }
  _hosts = {
    for key, fleet in local._fleets : key => flatten([for name, value in fleet.host_dimensions : [name, value]])
  }

  # Four widgets for each fleet, side by side: requests, latency, errors and capacity.
  _widgets = {
    for key, fleet in local._fleets : key => [
      for widget in [
        {
          kinds = ["async", "realtime", "scale_to_zero", "serverless"]
          metrics = [
            concat(
              ["AWS/SageMaker", fleet.requests_metric],
              local._asked[key],
              [{ label = "requests", stat = "Sum" }],
            ),
          ]
          title = "Requests per minute"
        },
        {
          kinds = ["async", "realtime", "scale_to_zero", "serverless"]
          # The metrics are in microseconds.
          metrics = concat(
            [
              for id, label in {
                a = "p50"
                b = "p95"
                c = "p99"
                d = fleet.kind == "async" ? "waiting p95" : "overhead p95"
              } :
              [{ expression = "${id}/1000", label = label }]
            ],
            [
              for id, stat in { a = "p50", b = "p95", c = "p99" } :
              concat(["AWS/SageMaker", "ModelLatency"], local._asked[key], [{ id = id, stat = stat, visible = false }])
            ],
            [
              concat(
                ["AWS/SageMaker", fleet.kind == "async" ? "TimeInBacklog" : "OverheadLatency"],
                local._asked[key],
                [{ id = "d", stat = "p95", visible = false }],
              ),
            ],
          )
          title = (
            fleet.kind == "async" ? "Latency of the model, and time in the queue, in ms" :
            "Latency of the model, and SageMaker's own, in ms"
          )
        },
        {
          kinds = ["async", "realtime", "scale_to_zero", "serverless"]
          metrics = [
            for metric, label in merge(
              { Invocation4XXErrors = "the caller's (4XX)", Invocation5XXErrors = "the service's (5XX)" },
              fleet.kind != "async" ? { InvocationModelErrors = "the model's" } : {
                ExpiredRequests                               = "expired in the queue"
                InvocationFailures                            = "failed for any reason"
              },
            ) :
            concat(["AWS/SageMaker", metric], local._asked[key], [{ label = label, stat = "Sum" }])
          ]
          title = "Errors per minute"
        },
        {
          kinds = ["serverless"]
          metrics = [
            for metric, label in {
              ServerlessConcurrentExecutionsUtilization   = "of max_concurrency"
              ServerlessProvisionedConcurrencyUtilization = "of the warm containers"
            } :
            concat(["AWS/SageMaker", metric], local._asked[key], [{ label = label, stat = "Maximum" }])
          ]
          title = "Share of the concurrency in use (1 = all)"
        },
        {
          kinds = ["async", "realtime", "scale_to_zero"]
          # Every instance reports once a minute: the number of reports is the number of instances.
          metrics = concat(
            [
              concat(
                ["/aws/sagemaker/Endpoints", "CPUUtilization"],
                local._hosts[key],
                [{ label = "instances", stat = "SampleCount" }],
              ),
            ],
            [
              for metric in fleet.kind == "async" ? ["ApproximateBacklogSize"] : [] : [
                "AWS/SageMaker",
                metric,
                "EndpointName",
                fleet.host_dimensions.EndpointName,
                { label = "waiting requests", stat = "Maximum" },
              ]
            ],
          )
          title = "Instances"
        },
      ] : widget if contains(widget.kinds, fleet.kind)
    ]
  }

  _rows = flatten([
    for index, key in local._fleet_order : [
      [
        {
          type   = "text"
          x      = 0
          y      = index * local._row_height
          width  = 24
          height = 1
          properties = {
            markdown = "## ${join(" · ", [
              var.endpoints[local._fleets[key].key].name,
              trimprefix(key, "${local._fleets[key].key}/"),
              local._fleets[key].kind,
            ])}"
          }
        },
      ],
      [
        for column, widget in local._widgets[key] : {
          type   = "metric"
          x      = column * 6
          y      = index * local._row_height + 1
          width  = 6
          height = 7
          properties = {
            metrics = widget.metrics
            period  = 60
            region  = local._region
            title   = widget.title
            view    = "timeSeries"
            yAxis   = { left = { min = 0, showUnits = false } }
          }
        }
      ],
    ]
  ])

  _last_row = [
    {
      type   = "metric"
      x      = 0
      y      = local._last_y
      width  = 12
      height = 6
      properties = {
        metrics = [
          [
            "AWS/Billing",
            "EstimatedCharges",
            "ServiceName",
            "AmazonSageMaker",
            "Currency",
            "USD",
            { label = "this month so far" },
          ],
        ]
        period = 21600
        # Billing metrics exist only in this region, and only if billing alerts are enabled.
        region = "us-east-1"
        stat   = "Maximum"
        title  = "SageMaker's cost in this account, USD"
        view   = "timeSeries"
        yAxis  = { left = { min = 0, showUnits = false } }
      }
    },
    {
      type   = "alarm"
      x      = 12
      y      = local._last_y
      width  = 12
      height = 6
      properties = {
        alarms = sort([for alarm in aws_cloudwatch_composite_alarm.unhealthy : alarm.arn])
        title  = "Unhealthy endpoints"
      }
    },
  ]
}

resource "aws_cloudwatch_dashboard" "embeddings" {
  count = var.dashboard ? 1 : 0

  dashboard_name = "${var.name}-embeddings"
  dashboard_body = jsonencode({
    start = "-PT3H"
    widgets = concat(
      local._rows,
      local._pipeline_row,
      local._costs_row,
      [for widget in local._last_row : widget if widget.type == "metric" || var.alarms != null],
    )
  })
}
