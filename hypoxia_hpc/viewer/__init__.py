"""The viewer: slides in a browser, with what models say of their tiles."""
