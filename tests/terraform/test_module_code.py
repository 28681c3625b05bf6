"""What a building block's code may not do, whichever way it is written."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.terraform.module_code import problems_of
from tests.modules.workbench import MODULES

FINE = """
terraform {
  required_version = ">= 1.9"
  required_providers {
    azapi  = { source = "Azure/azapi" }
    random = { source = "registry.terraform.io/hashicorp/random" }
  }
}
variable "x" { type = map(object({ a = optional(string, "b") })) }
resource "terraform_data" "x" { input = { for key, one in var.x : key => "${one.a}-${upper(key)}" } }
module "inner" { source = "./inner" }
output "x" { value = try(terraform_data.x.output, null) }
"""


def test_a_module_that_keeps_to_itself_has_no_problems() -> None:
    assert problems_of({"main.tf": FINE, "inner/main.tf": 'variable "y" {}\n'}, ["hashicorp/random"]) == []


@pytest.mark.parametrize("name", sorted(path.name for path in MODULES.iterdir()))
def test_the_runners_own_modules_could_be_building_blocks(name: str) -> None:
    code = {path.name: path.read_text("utf-8") for path in (MODULES / name).glob("*.tf")}
    assert problems_of(code, ()) == []


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ('provider "azapi" {\n  enable_preflight = true\n}\n', "configures a provider"),
        ('terraform {\n  backend "http" {}\n}\n', "has a backend"),
        ('terraform {\n  cloud {\n    organization = "x"\n  }\n}\n', "has a cloud"),
        ('terraform {\n  required_providers {\n    x = { source = "evil.example/a/b" }\n  }\n}\n', "evil.example/a/b"),
        ('terraform {\n  required_providers {\n    null = { version = "3" }\n  }\n}\n', "hashicorp/null"),
        (
            'resource "terraform_data" "x" {\n  provisioner "local-exec" {\n    command = "id"\n  }\n}\n',
            "has a provisioner in terraform_data.x",
        ),
        ('module "x" {\n  source = "git::https://evil.example/x.git"\n}\n', "from git::https://evil.example/x.git"),
        ('module "x" {\n  source = "../elsewhere"\n}\n', "only modules inside of it"),
        ('module "x" {\n  source = "./nowhere"\n}\n', "where there is none"),
        ("resource {", "cannot be read"),
    ],
)
def test_what_does_not_belong_into_a_block_is_named_with_its_file(code: str, words: str) -> None:
    (problem,) = problems_of({"sub/main.tf": code} if "elsewhere" not in code else {"main.tf": code}, ())
    assert words in problem
    assert "main.tf " in problem


def test_json_is_read_as_well() -> None:
    provisioner = {"resource": {"terraform_data": {"x": {"provisioner": {"local-exec": {"command": "id"}}}}}}
    assert "has a provisioner" in problems_of({"main.tf.json": json.dumps(provisioner)}, ())[0]
    assert "configures a provider" in problems_of({"main.tf.json": json.dumps({"provider": {"azapi": {}}})}, ())[0]
    assert "cannot be read" in problems_of({"main.tf.json": "{"}, ())[0]


def test_an_inner_module_is_looked_at_like_the_outer_one() -> None:
    inner = 'provider "azapi" {}\n'
    assert problems_of({"main.tf": 'module "i" {\n  source = "./i"\n}\n', "i/main.tf": inner}, ()) == [
        "i/main.tf configures a provider: providers are the runner's to configure"
    ]


@given(st.text(max_size=200))
def test_whatever_the_code_is_it_ends_in_a_list_of_problems(text: str) -> None:
    assert isinstance(problems_of({"main.tf": text}, ()), list)
