"""One self-contained HTML file, and the same figures as JSON."""
