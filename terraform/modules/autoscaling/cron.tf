# The syntax of schedules: AWS's six cron fields, each with numbers, names, ranges, steps and lists. AWS would reject a
# field outside its range only in the apply.

locals {
  _cron_values = {
    day     = "(0?[1-9]|[12][0-9]|3[01])"
    hour    = "([01]?[0-9]|2[0-3])"
    minute  = "[0-5]?[0-9]"
    month   = "(0?[1-9]|1[0-2]|JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC)"
    weekday = "([1-7]|SUN|MON|TUE|WED|THU|FRI|SAT)"
    year    = "(19[7-9][0-9]|2[01][0-9]{2})"
  }
  _cron_parts = { for field, value in local._cron_values : field => "(\\*|${value}(-${value})?)(/[1-9][0-9]?)?" }
  _cron       = { for field, part in local._cron_parts : field => "${part}(,${part})*" }

  # The last day, the weekday nearest to a date, the last and the n-th of a weekday.
  _cron_day     = "(${local._cron.day}|L|LW|${local._cron_values.day}W)"
  _cron_time    = "${local._cron.minute} ${local._cron.hour}"
  _cron_weekday = "(${local._cron.weekday}|L|${local._cron_values.weekday}(L|#[1-5]))"

  # One of the two kinds of day must be a question mark.
  _schedule_patterns = [
    "^cron\\(${local._cron_time} \\? ${local._cron.month} ${local._cron_weekday} ${local._cron.year}\\)$",
    "^cron\\(${local._cron_time} ${local._cron_day} ${local._cron.month} \\? ${local._cron.year}\\)$",
    "^rate\\(([2-9]|[1-9][0-9]+) (minutes|hours|days)\\)$",
    "^rate\\(1 (minute|hour|day)\\)$",
  ]

  # The areas of the time zone database. Only AWS knows their cities.
  _timezone_area    = "(Africa|America|Antarctica|Asia|Atlantic|Australia|Europe|Indian|Pacific)"
  _timezone_city    = "[A-Z][A-Za-z]+([_-][A-Za-z]+)*"
  _timezone_places  = "${local._timezone_area}/${local._timezone_city}(/${local._timezone_city})?"
  _timezone_pattern = "^(UTC|GMT|Etc/(UTC|GMT([+-][0-9]{1,2})?)|${local._timezone_places})$"

  # Schedules that match a pattern, or are a point in time.
  _is_schedule = {
    for name, action in var.schedules : name => anytrue(concat(
      [for pattern in local._schedule_patterns : can(regex(pattern, action.schedule))],
      [can(regex("^at\\(.{19}\\)$", action.schedule)) && can(timeadd("${substr(action.schedule, 3, 19)}Z", "0s"))],
    ))
  }
}
