"""Bias features: recorded, learned, ranked, shown to matter, and edited."""
