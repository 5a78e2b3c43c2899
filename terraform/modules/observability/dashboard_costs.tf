# One row for costs, above the last one: instances at list prices, and the library's own metrics.

locals {
  _costs_y = local._pipeline_y + (var.pipeline == null ? 0 : local._row_height)
  _last_y  = local._costs_y + local._row_height

  _priced_fleets = [
    for key in local._fleet_order : {
      hosts = local._hosts[key]
      label = var.endpoints[local._fleets[key].key].name
      price = var.endpoints[local._fleets[key].key].hourly_usd[split("/", key)[1]]
    } if contains(keys(var.endpoints[local._fleets[key].key].hourly_usd), split("/", key)[1])
  ]

  _cost_widgets = concat(
    [
      for title in length(local._priced_fleets) == 0 ? [] : ["Instances, USD per hour at list prices"] : {
        # Every instance reports once a minute: sixty reports are an instance-hour.
        metrics = concat(
          [
            for index, fleet in local._priced_fleets :
            [{ expression = "i${index}/60*${fleet.price}", label = fleet.label }]
          ],
          [
            for index, fleet in local._priced_fleets :
            concat(
              ["/aws/sagemaker/Endpoints", "CPUUtilization"],
              fleet.hosts,
              [{ id = "i${index}", stat = "SampleCount", visible = false }],
            )
          ],
        )
        title = title
      }
    ],
    [
      for metric, settings in {
        CostPerEmbedding = { stat = "Average", title = "Cost per text, USD (without instances)" }
        EmbeddingTokens  = { stat = "Sum", title = "Tokens per hour" }
        } : {
        metrics = [
          for endpoint in values(var.endpoints) :
          ["EmbedStack", metric, "Endpoint", endpoint.name, { label = endpoint.name, stat = settings.stat }]
        ]
        title = settings.title
      }
    ],
  )

  _costs_row = concat(
    [
      {
        type       = "text"
        x          = 0
        y          = local._costs_y
        width      = 24
        height     = 1
        properties = { markdown = "## Costs" }
      },
    ],
    [
      for column, widget in local._cost_widgets : {
        type   = "metric"
        x      = column * 8
        y      = local._costs_y + 1
        width  = 8
        height = 7
        properties = {
          metrics = widget.metrics
          period  = 3600
          region  = local._region
          title   = widget.title
          view    = "timeSeries"
          yAxis   = { left = { min = 0, showUnits = false } }
        }
      }
    ],
  )
}
