"""The HTTP surface as one route table, free of any web framework."""
