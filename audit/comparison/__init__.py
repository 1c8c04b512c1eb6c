"""Arms and runs set side by side: differences, and whether something got worse."""
