"""The user's Functions app: loading, the worker's and the host's rules for it, and calling its functions.

Everything here runs where the app runs: inside a language worker process, or in the host's own for tests.
"""
