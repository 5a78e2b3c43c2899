# Variables that the root refuses. tests/variables holds the root's variables alone, which is faster to plan.

variables {
  name = "alex"
  endpoints = {
    embedding = {
      model      = { hub_id = "sentence-transformers/all-MiniLM-L6-v2" }
      serverless = {}
    }
  }
}

run "name_with_capitals" {
  command = plan
  module { source = "./tests/variables" }

  variables {
    name = "Alex"
  }

  expect_failures = [var.name]
}

run "name_with_an_underscore" {
  command = plan
  module { source = "./tests/variables" }

  variables {
    name = "alex_dev"
  }

  expect_failures = [var.name]
}

run "environment_with_a_space" {
  command = plan
  module { source = "./tests/variables" }

  variables {
    environment = "my stage"
  }

  expect_failures = [var.environment]
}

run "region_by_city" {
  command = plan
  module { source = "./tests/variables" }

  variables {
    aws_region = "Frankfurt"
  }

  expect_failures = [var.aws_region]
}

run "tag_with_the_aws_prefix" {
  command = plan
  module { source = "./tests/variables" }

  variables {
    tags = { "aws:team" = "search" }
  }

  expect_failures = [var.tags]
}

run "tag_with_a_bad_character" {
  command = plan
  module { source = "./tests/variables" }

  variables {
    tags = { team = "search?" }
  }

  expect_failures = [var.tags]
}
