"""How a run is doing: status, what remains, estimate, doctor, verify."""
