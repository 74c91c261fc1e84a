"""Measurements of what the library costs, and saves, against other ways of doing the same."""
