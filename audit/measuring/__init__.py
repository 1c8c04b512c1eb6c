"""Parts of measurement: each makes the entries of one section of `results.json`."""
