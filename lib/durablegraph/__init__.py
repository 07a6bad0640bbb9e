"""durablegraph: any compiled LangGraph graph on Azure Durable Functions, one durable activity a super-step."""
