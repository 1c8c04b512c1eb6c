"""Definitions of metrics: a pure function of arrays each, with its facts beside it."""
