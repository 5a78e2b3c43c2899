moved {
  from = aws_security_group.embeddings
  to   = module.security_group.aws_security_group.egress
}

moved {
  from = aws_vpc_security_group_egress_rule.https
  to   = module.security_group.aws_vpc_security_group_egress_rule.https
}

# The role became optional.
moved {
  from = module.execution_role
  to   = module.execution_role[0]
}
