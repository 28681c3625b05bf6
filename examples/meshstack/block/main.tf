# A building block as any other: it keeps its state in meshStack, for it has no backend of its own.

variable "region" {
  description = "Where the project works."
  type        = string
}

variable "meshstack_building_block_id" {
  description = "Given by the runner."
  type        = string
}

resource "terraform_data" "project" {
  input = { region = var.region, block = var.meshstack_building_block_id }
}

output "region" {
  description = "Where the project works."
  value       = terraform_data.project.output.region
}
