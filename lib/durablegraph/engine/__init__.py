"""The run loop: deterministic, driven by decisions that activities return."""
