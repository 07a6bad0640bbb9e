"""Durable's HTTP API (extension 3.19) over a task hub, free of any web framework."""
