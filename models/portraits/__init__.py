"""The embedded world: small diffusion models trained on rendered portraits."""
