"""One small object-store port, its two adapters, and what is built once on top of it."""
