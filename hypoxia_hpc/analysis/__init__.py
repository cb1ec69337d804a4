"""From tile predictions to patients; metrics with intervals."""
