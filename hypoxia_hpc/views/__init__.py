"""Values of commands as the plain text that users read."""
