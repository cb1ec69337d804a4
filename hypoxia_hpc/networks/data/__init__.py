"""What networks are fed in training: rows, bags, tiles, in a seeded order."""
