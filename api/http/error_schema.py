"""The body of every error answer, and what each status means, for the API's description.

`api/http/api_errors.py` writes these bodies by hand: a new field or a new status there is added here, too.
"""

from __future__ import annotations

from pydantic import BaseModel, Field


class Problem(BaseModel):
    message: str = Field(description="For people.")
    type: str
    code: str | None = Field(None, description="For programs.")
    param: str | None = Field(None, description="The field, parameter or header that is wrong.")


class ErrorAnswer(BaseModel):
    error: Problem


MEANINGS = {
    400: "The request is wrong, and `param` says where; or the model refuses it, and `code` says why.",
    401: "No credential, or an unknown one.",
    403: "Not for this credential: a session of another one, a scope it does not have, or a page of another site.",
    404: "No such agent or worker, or no such run of this credential.",
    408: "The body did not come in time.",
    409: "The idempotency key was used with another body, or the state of things stands in the way; `code` says which.",
    413: "The body is too large.",
    429: "Too many runs wait, and `Retry-After` says when to try again; or the model has reached its rate limit.",
    500: "The agent failed, or this service did.",
    502: "The model behind the agent failed.",
    503: "Redis is away, the worker was lost, or this process is restarting.",
    504: "No worker took the run in time, the run or its model took too long, or the client would not have waited for "
    "its end.",
}
