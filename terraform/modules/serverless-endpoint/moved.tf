moved {
  from = aws_cloudwatch_log_group.embeddings
  to   = module.config.aws_cloudwatch_log_group.embeddings
}

moved {
  from = terraform_data.deployment
  to   = module.config.terraform_data.deployment
}
