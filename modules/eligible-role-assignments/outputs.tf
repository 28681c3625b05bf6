output "request_ids" {
  description = "ARM id of the last request for each assignment, by the keys of `assignments`."
  value       = { for key, request in azapi_resource_action.request : key => request.resource_id }
}
