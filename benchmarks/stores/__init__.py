"""The stores that are measured, one module each."""
