"""The body of every error response, and the meaning of each status, for the OpenAPI document.

`api/http/api_errors.py` writes these bodies by hand. A new field or a new status there needs a place here, too.
"""

from __future__ import annotations

from pydantic import BaseModel, Field


class Problem(BaseModel):
    message: str = Field(description="For people.")
    type: str
    code: str | None = Field(None, description="For programs.")
    param: str | None = Field(None, description="The wrong field, parameter or header.")


class ErrorAnswer(BaseModel):
    error: Problem


MEANINGS = {
    400: "The request is wrong, and `param` names the part; or the model refuses it, and `code` gives the reason.",
    401: "The request has no credential, or an unknown one.",
    403: "The credential may not do this: the session belongs to another one, the scope is missing, or the page is of "
    "another site.",
    404: "There is no such agent or worker, or this credential has no such run.",
    408: "The body did not arrive in time.",
    409: "The idempotency key was used with another body, or the state of the run or queue forbids it. `code` names "
    "the cause.",
    413: "The body is too large.",
    429: "Too many runs wait, and `Retry-After` gives the seconds to wait; or the model has reached its rate limit.",
    500: "The agent or this service failed.",
    502: "The model behind the agent failed.",
    503: "Redis does not respond, the worker was lost, or this process is restarting.",
    504: "No worker claimed the run in time, the run or its model took too long, or the client's own time limit was "
    "too short.",
}
