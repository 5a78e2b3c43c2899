resource "aws_ce_cost_allocation_tag" "embeddings" {
  for_each = var.cost_allocation_tags

  status  = "Active"
  tag_key = each.key
}
