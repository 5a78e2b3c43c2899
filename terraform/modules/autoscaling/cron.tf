# How schedules are written: AWS's six fields, each of numbers, names, ranges, steps and lists. A field out of its range
# would be refused only in the apply.

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

  # The last day, the weekday nearest to one, the last and the n-th of a weekday.
  _cron_day     = "(${local._cron.day}|L|LW|${local._cron_values.day}W)"
  _cron_weekday = "(${local._cron.weekday}|L|${local._cron_values.weekday}(L|#[1-5]))"

  # The service wants a question mark for one of the two kinds of day.
  _schedule_patterns = [
    "^cron\\(${local._cron.minute} ${local._cron.hour} \\? ${local._cron.month} ${local._cron_weekday} ${local._cron.year}\\)$",
    "^cron\\(${local._cron.minute} ${local._cron.hour} ${local._cron_day} ${local._cron.month} \\? ${local._cron.year}\\)$",
    "^rate\\(([2-9]|[1-9][0-9]+) (minutes|hours|days)\\)$",
    "^rate\\(1 (minute|hour|day)\\)$",
  ]

  # The areas of the time zone database. Which cities they have the service alone knows.
  _timezone_city    = "[A-Z][A-Za-z]+([_-][A-Za-z]+)*"
  _timezone_pattern = "^(UTC|GMT|Etc/(UTC|GMT([+-][0-9]{1,2})?)|(Africa|America|Antarctica|Asia|Atlantic|Australia|Europe|Indian|Pacific)/${local._timezone_city}(/${local._timezone_city})?)$"
}
