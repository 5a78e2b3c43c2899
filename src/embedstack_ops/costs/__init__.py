"""What operators see of costs: the bill of a plan, reports and advice."""
