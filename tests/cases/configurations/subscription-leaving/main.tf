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

# Stays in Azure, leaves the state.
removed {
  from = module.management_group

  lifecycle {
    destroy = false
  }
}
