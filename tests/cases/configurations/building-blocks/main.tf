# Root module of one tenant, written by lzr. Every value is in inputs.auto.tfvars.json.
# The state is in the runner's store. To look at a plan by hand, never to apply: sign in by environment (ARM_…), put a copy of the state
# here (lzr state show TENANT --raw > terraform.tfstate) and a file backend_override.tf.json with
# {"terraform": {"backend": {"local": {}}}}, then terraform init && terraform plan.

terraform {
  required_version = ">= 1.9"

  required_providers {
    azapi = {
      source  = "Azure/azapi"
      version = ">= 2.10.0, < 3.0.0"
    }
    azuread = {
      source  = "hashicorp/azuread"
      version = ">= 3.4.0, < 4.0.0"
    }
  }

  backend "http" {}
}

provider "azapi" {}

provider "azuread" {}

module "management_group" {
  source = "./modules/management-group-association"

  management_group_id = var.management_group_id
  subscription_id     = var.subscription_id
}

module "resource_group_platform" {
  source = "./modules/resource-group"

  subscription_id = var.subscription_id
  name            = var.resource_groups["platform"].name
  location        = var.resource_groups["platform"].location
}

module "groups" {
  source = "./modules/entra-groups"

  groups                 = var.groups
  administrative_unit_id = var.administrative_unit_id
}

locals {
  scope = "/subscriptions/${var.subscription_id}"
}

locals {
  group_ids = merge(module.groups.group_ids, var.existing_groups)
}

module "roles" {
  source = "./modules/role-assignments"

  scope           = local.scope
  subscription_id = var.subscription_id
  assignments = {
    for key, assignment in var.role_assignments : key => {
      principal_id       = local.group_ids[assignment.group]
      role_definition_id = assignment.role_definition_id
      condition          = assignment.condition
    }
  }
}

module "tags" {
  source = "./modules/subscription-tags"

  scope = local.scope
  tags  = var.tags
}

module "block_providers" {
  source = "./modules/resource-provider-registration"

  namespaces      = var.building_blocks["providers"]["namespaces"]
  subscription_id = var.subscription_id
}

module "block_budget" {
  source = "./modules/budget"

  amount        = var.building_blocks["budget"]["amount"]
  notifications = var.building_blocks["budget"]["notifications"]
  scope         = local.scope
}

module "block_operators" {
  source = "./modules/eligible-role-assignments"

  assignments     = var.building_blocks["operators"]["assignments"]
  group_ids       = local.group_ids
  scope           = local.scope
  subscription_id = var.subscription_id
}

module "block_pipeline" {
  source = "./modules/pipeline-identity"

  credentials       = var.building_blocks["pipeline"]["credentials"]
  location          = var.building_blocks["pipeline"]["location"]
  name              = var.building_blocks["pipeline"]["name"]
  resource_group_id = module.resource_group_platform.id
}

module "block_archive" {
  source = "./blocks/archive"

  cost_center     = var.building_blocks["archive"]["cost_center"]
  name            = var.building_blocks["archive"]["name"]
  subscription_id = var.subscription_id
}
