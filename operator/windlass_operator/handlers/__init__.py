"""kopf's side: handlers that put what the watches tell into the store, and call the loop."""
