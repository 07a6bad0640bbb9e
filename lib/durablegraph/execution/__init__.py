"""The bodies of the activities: graphs and storage, no triggers."""
