"""What run.toml says of heads and clusterings: a file for each table, and the registry of them."""
