"""The task hub of the embedded host: a pure machine, its journal, and the dispatcher between them and a worker."""
