"""Values: identifiers, statuses and the messages that cross a durable boundary. No I/O, no clock, no LangGraph."""
