"""The training data of networks: rows, bags, tiles, in a seeded order."""
