"""The version of this release. pyproject.toml reads it from here: the project runs without being installed."""

RELEASE = "0.2.0"
