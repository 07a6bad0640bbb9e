"""The host's HTTP front: function routes, keys, admin endpoints, durable webhooks, the client's RPC endpoint."""
