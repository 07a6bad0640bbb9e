"""The embedded Functions host: runs an unmodified Functions app with Durable in one machine's processes, on SQLite."""
