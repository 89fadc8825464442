"""What may be written, and what comes of it."""
