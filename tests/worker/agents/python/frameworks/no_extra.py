"""Fails as the file of an agent does that imports a framework which is not installed."""

raise ModuleNotFoundError("No module named 'langgraph'", name="langgraph.graph")
