"""Audit diffusion models for social bias."""
