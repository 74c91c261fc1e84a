"""Measurements of what the library costs over hand-written code."""
