"""One folder format for everything saved."""
