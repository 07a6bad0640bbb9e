"""The catalogue's small graphs on LangGraph alone, on us and on peers: who runs them as LangGraph does."""
