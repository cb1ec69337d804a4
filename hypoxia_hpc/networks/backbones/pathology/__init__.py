"""Foundation models of pathology by name: one file a family, each a table of records."""
