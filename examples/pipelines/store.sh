# Opens the store for a job that az is signed in for: a token for PostgreSQL and the keys of store and audit, for this shell alone.
# Sourced, in the same step as lzr: nothing of it outlives the step.
secret() { az keyvault secret show --vault-name "$KEY_VAULT" --name "$1" --query value --output tsv; }
LZR_STORE_KEY="$(secret lzr-store-key)"
LZR_AUDIT_KEY="$(secret lzr-audit-key)"
PGPASSWORD="$(az account get-access-token --resource-type oss-rdbms --query accessToken --output tsv)"
export LZR_STORE_KEY LZR_AUDIT_KEY PGPASSWORD
