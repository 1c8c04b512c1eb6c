"""Images: drawn or found, read by probes and encoders, in batches and only once."""
