"""Generators: any diffusers pipeline, and the embedded portraits."""
