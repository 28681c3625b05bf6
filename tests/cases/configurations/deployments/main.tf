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

module "blueprint_network" {
  source = "./modules/blueprint-assignment"

  subscription_id           = var.subscription_id
  name                      = "network"
  location                  = var.blueprints["network"].location
  blueprint_version_id      = var.blueprints["network"].blueprint_version_id
  parameters                = var.blueprints["network"].parameters
  user_assigned_identity_id = var.blueprints["network"].user_assigned_identity_id
  lock_mode                 = var.blueprints["network"].lock_mode
  excluded_principals       = var.blueprints["network"].excluded_principals
  excluded_actions          = var.blueprints["network"].excluded_actions
  attempt                   = var.blueprints["network"].attempt
}

module "stack_baseline" {
  source = "./modules/deployment-stack"

  subscription_id          = var.subscription_id
  name                     = "baseline"
  location                 = var.deployment_stacks["baseline"].location
  description              = var.deployment_stacks["baseline"].description
  template                 = var.deployment_stacks["baseline"].template
  template_spec_version_id = var.deployment_stacks["baseline"].template_spec_version_id
  parameters               = var.deployment_stacks["baseline"].parameters
  deny_settings            = var.deployment_stacks["baseline"].deny_settings
  action_on_unmanage       = var.deployment_stacks["baseline"].action_on_unmanage
  attempt                  = var.deployment_stacks["baseline"].attempt
}

module "stack_monitoring" {
  source = "./modules/deployment-stack"

  subscription_id          = var.subscription_id
  name                     = "monitoring"
  location                 = var.deployment_stacks["monitoring"].location
  description              = var.deployment_stacks["monitoring"].description
  template                 = var.deployment_stacks["monitoring"].template
  template_spec_version_id = var.deployment_stacks["monitoring"].template_spec_version_id
  parameters               = var.deployment_stacks["monitoring"].parameters
  deny_settings            = var.deployment_stacks["monitoring"].deny_settings
  action_on_unmanage       = var.deployment_stacks["monitoring"].action_on_unmanage
  attempt                  = var.deployment_stacks["monitoring"].attempt
}

# Stays in Azure, leaves the state.
removed {
  from = module.blueprint_network-old

  lifecycle {
    destroy = false
  }
}

# Stays in Azure, leaves the state.
removed {
  from = module.blueprints_owner

  lifecycle {
    destroy = false
  }
}
