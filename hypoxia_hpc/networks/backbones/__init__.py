"""Networks without their top: by name, with checked weights."""
