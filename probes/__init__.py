"""Probes: classifiers of perceived attributes."""
