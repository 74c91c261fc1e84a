"""Declarations that are taken from what a model says of its fields."""
