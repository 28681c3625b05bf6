output "assignment_ids" {
  description = "ARM id of each role assignment, by the keys of `assignments`."
  value       = { for key, assignment in azapi_resource.this : key => assignment.id }
}
