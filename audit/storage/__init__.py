"""What lies on disk: the store, tables, run folders and results, each written whole."""
