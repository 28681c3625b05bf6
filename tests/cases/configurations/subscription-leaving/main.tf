# Root module of one tenant, written by lzr. Every value is in inputs.auto.tfvars.json.
# By hand: sign in by environment (ARM_…), point to a state by environment (TF_HTTP_…), then terraform init && terraform plan.
# To look without a state, add a file backend_override.tf with:  terraform { backend "local" {} }

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
