"""Estimates that know their sample size: numpy and scipy, pure functions of arrays."""
