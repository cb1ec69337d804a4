"""What the page shows of each kind of outcome: one file a kind."""
