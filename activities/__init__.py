"""Effectful triggers: at least once, so idempotent."""
