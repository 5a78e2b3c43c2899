# One row for a document pipeline, under those of the endpoints: queue, dead-letter queue, invocations and duration.

locals {
  _pipeline_y = length(local._fleet_order) * local._row_height

  # Placeholders without a pipeline; the row is omitted then.
  _pipeline = var.pipeline == null ? { dead_letter_queue = "", functions = tomap({}), queue = "" } : var.pipeline

  _pipeline_widgets = [
    {
      metrics = [
        for line in [
          { label = "waiting", metric = "ApproximateNumberOfMessagesVisible", queue = local._pipeline.queue },
          { label = "in work", metric = "ApproximateNumberOfMessagesNotVisible", queue = local._pipeline.queue },
          {
            label  = "set aside"
            metric = "ApproximateNumberOfMessagesVisible"
            queue  = local._pipeline.dead_letter_queue
          },
        ] : ["AWS/SQS", line.metric, "QueueName", line.queue, { label = line.label, stat = "Maximum" }]
      ]
      title = "Documents"
    },
    {
      metrics = [
        [
          "AWS/SQS",
          "ApproximateAgeOfOldestMessage",
          "QueueName",
          local._pipeline.queue,
          { label = "oldest", stat = "Maximum" },
        ],
      ]
      title = "Age of the oldest waiting document, in s"
    },
    {
      metrics = flatten([
        for key, function in local._pipeline.functions : [
          for metric in ["Invocations", "Errors", "Throttles"] :
          {
            row = [
              "AWS/Lambda",
              metric,
              "FunctionName",
              function,
              { label = "${key} ${lower(metric)}", stat = "Sum" },
            ]
          }
        ]
      ])[*].row
      title = "Functions, per minute"
    },
    {
      metrics = [
        for key, function in local._pipeline.functions :
        ["AWS/Lambda", "Duration", "FunctionName", function, { label = "${key} p95", stat = "p95" }]
      ]
      title = "Time that the functions take, in ms"
    },
  ]

  _pipeline_row = concat(
    [
      for title in var.pipeline == null ? [] : ["Documents"] : {
        type       = "text"
        x          = 0
        y          = local._pipeline_y
        width      = 24
        height     = 1
        properties = { markdown = "## ${title}" }
      }
    ],
    [
      for column, widget in local._pipeline_widgets : {
        type   = "metric"
        x      = column * 6
        y      = local._pipeline_y + 1
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
      } if var.pipeline != null
    ],
  )
}
