"""The app that is proven with: its graph and its langgraph.json."""
