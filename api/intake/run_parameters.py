"""Parameters that several endpoints about runs share."""

from __future__ import annotations

from api.http.parameters import Cursor, Number, OneOf, Text
from shared.run.states import State

RUN_ID = Text("run_id", "`id` of the run; also `X-Run-Id` of a chat completion.", place="path")
STATE = OneOf("state", "Only runs in this state.", State)
AGENT = Text("agent", "Only runs of this agent.")
SESSION = Text("session", "Only runs of this session.")
CURSOR = Cursor("cursor", "`next_cursor` of the previous page.")
AFTER = Number("after", "Number of the last event that the client has received.")
LAST_EVENT_ID = Number(
    "Last-Event-ID", "As `after`, and used instead of it. Browsers send it by themselves.", place="header"
)
