"""The adapters under test, each on each of its backends, as the behaviour suite sees them."""
