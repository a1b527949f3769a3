"""An input with a question and two pictures."""

from __future__ import annotations

from shared.run.run import Part, Turn
from tests.worker.agents.asking import asked

DOT = "data:image/png;base64,iVBORw=="
PICTURE = "https://pictures.example/dot.png"
PARTS = (
    Part(type="text", value="What is it?"),
    Part(type="image_url", value={"url": DOT}),
    Part(type="image_url", value={"url": PICTURE, "detail": "low"}),
)
PICTURES = asked("What is it?").model_copy(update={"current": (Turn(role="user", content="What is it?", parts=PARTS),)})
