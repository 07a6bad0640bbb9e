"""Benchmarks: each module prints a table; `python -m benchmarks` runs them all. Peers run in the same process' time."""
