"""Plans that Terraform itself makes: regions of providers with aliases, and values known only after the apply."""

import shutil
from decimal import Decimal

import pytest

from embedstack.costs.price_book import PriceBook
from embedstack_ops.costs.plan_pricing import price_plan
from embedstack_ops.costs.plan_reader import read_plan
from embedstack_ops.costs.schedule_hours import BillingMonth
from embedstack_ops.costs.usage import Usage
from tests.terraform.running import SOURCE, init, terraform

MONTH = BillingMonth.of(2026, 11)
PROVIDER = """
provider "aws" {{
{alias}
  region                      = {region}
  access_key                  = "none"
  secret_key                  = "none"
  skip_credentials_validation = true
  skip_requesting_account_id  = true
  skip_metadata_api_check     = true
}}
"""
ROOT = """
variable "region" { default = "eu-west-1" }

resource "terraform_data" "type" { input = "ml.m5.xlarge" }

module "here" {
  source = "./endpoint"
  name   = "here"
  type   = "ml.m5.xlarge"
}

module "there" {
  source    = "./endpoint"
  name      = "there"
  type      = "ml.m5.xlarge"
  providers = { aws = aws.there }
}

module "later" {
  source = "./endpoint"
  name   = "later"
  type   = terraform_data.type.output
}
"""
MODULE = """
variable "name" {}
variable "type" {}

terraform {
  required_providers {
    aws = { source = "hashicorp/aws" }
  }
}

resource "aws_sagemaker_endpoint_configuration" "this" {
  production_variants {
    variant_name           = "main"
    model_name             = "model"
    initial_instance_count = 1
    instance_type          = var.type
  }
}

resource "aws_sagemaker_endpoint" "this" {
  name                 = var.name
  endpoint_config_name = aws_sagemaker_endpoint_configuration.this.name
}
"""


@pytest.fixture(scope="module")
def plan(provider, tmp_path_factory):
    if shutil.which("terraform") is None:
        pytest.skip("terraform is not installed")
    folder = tmp_path_factory.mktemp("plan")
    providers = PROVIDER.format(alias="", region='"us-east-1"') + PROVIDER.format(
        alias='  alias = "there"', region="var.region"
    )
    (folder / "main.tf").write_text(providers + ROOT)
    (folder / "endpoint").mkdir()
    (folder / "endpoint" / "main.tf").write_text(MODULE)
    for name in ("versions.tf", ".terraform.lock.hcl"):
        shutil.copy(SOURCE / name, folder)
    init(folder)
    terraform(folder, "plan", "-input=false", "-out=saved.tfplan")
    shown = folder / "plan.json"
    # Terraform may print warnings, too.
    lines = terraform(folder, "show", "-json", "saved.tfplan").splitlines()
    shown.write_text(next(line for line in lines if line.startswith("{")))
    return read_plan(shown)


def test_endpoints_have_the_region_of_their_own_provider(plan):
    assert {each.name: each.region for each in plan.endpoints} == {
        "here": "us-east-1",
        "later": "us-east-1",
        "there": "eu-west-1",
    }


def test_each_region_has_its_own_price(plan):
    bill = price_plan(plan, PriceBook.load(), Usage(), MONTH)
    assert {each.name: each.low for each in bill.lines if "ml.m5.xlarge" in each.what} == {
        "here/main": 720 * Decimal("0.23"),
        "there/main": 720 * Decimal("0.257"),
    }


def test_instance_type_known_after_the_apply_is_listed(plan):
    (unknown,) = plan.unknown
    assert unknown == "module.later.aws_sagemaker_endpoint_configuration.this: production_variants[0].instance_type"
