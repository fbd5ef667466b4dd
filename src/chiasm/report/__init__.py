"""Run folders as one HTML page that opens from disk without network."""
