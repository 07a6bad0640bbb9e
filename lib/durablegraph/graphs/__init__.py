"""LangGraph: where graphs come from, and how one super-step of an unmodified graph is run."""
