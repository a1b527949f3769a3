"""What an agent's file does that imports a framework which is not installed."""

raise ModuleNotFoundError("No module named 'langgraph'", name="langgraph.graph")
