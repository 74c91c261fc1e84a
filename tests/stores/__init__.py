"""The adapters under test, each on each of its backends, as the shared behaviour suite sees them."""
