"""Declarations that are taken from the model."""
