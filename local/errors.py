from shared.run.errors import RunrelayError


class StartError(RunrelayError):
    """Why the service cannot start on this machine: one line for the person at the terminal."""
