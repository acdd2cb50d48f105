"""The children a resource should have, as plain dictionaries: pure builders, one file a kind."""
