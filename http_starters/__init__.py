"""Client-facing triggers: start, signal, read; never run a node."""
