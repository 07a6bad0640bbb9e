"""Brings threads of other savers into this app's storage: `durablegraph import-threads`."""
