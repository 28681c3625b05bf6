# A resource group for logs, with its cost center: small, so that it shows what a building block is.
terraform {
  required_version = ">= 1.9"

  required_providers {
    azapi = {
      source  = "Azure/azapi"
      version = ">= 2.10.0, < 3.0.0"
    }
  }
}

variable "subscription_id" {
  type        = string
  description = "Subscription that the resource group lies in."
}

variable "name" {
  type        = string
  description = "Name of the resource group."
}

variable "cost_center" {
  type        = string
  default     = "none"
  description = "Who pays."
}

resource "azapi_resource" "this" {
  type                      = "Microsoft.Resources/resourceGroups@2022-09-01"
  parent_id                 = "/subscriptions/${var.subscription_id}"
  name                      = var.name
  location                  = "westeurope"
  tags                      = { costCenter = var.cost_center }
  body                      = {}
  schema_validation_enabled = false
}

output "id" {
  description = "ARM id of the resource group."
  value       = azapi_resource.this.id
}
