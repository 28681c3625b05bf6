"""The HTTP API: `/api/v1`. Its models are a contract of their own, so what the program keeps inside may change without it."""
