"""Deterministic triggers: may yield, may not do."""
