"""The whole service on one machine: what `make run` starts. Nothing that is deployed imports it."""
