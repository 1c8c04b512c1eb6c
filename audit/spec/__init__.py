"""The spec: YAML in, strict models and planned requests out, every mistake in one pass."""
