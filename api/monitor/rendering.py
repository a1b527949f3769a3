"""Renders pages and parts of pages as HTML. Jinja escapes every value in a template."""

from __future__ import annotations

from collections.abc import Iterable

from jinja2 import Environment, PackageLoader, StrictUndefined

from api.monitor import formatting
from api.monitor.login import Operator
from api.monitor.run_page import TimelineEntry
from shared.run.release import RELEASE

LIVE = "live_"  # prefix of the blocks that are the live parts of a page


class Templates:
    def __init__(self) -> None:
        """Compiles what all pages share, which takes some 30 ms: at the start, and not in the way of streams."""
        self._env = Environment(
            loader=PackageLoader("api.monitor"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._env.filters |= {
            "span": formatting.format_duration,
            "ago": formatting.format_age,
            "size": formatting.format_bytes,
            "count": formatting.format_number,
            "stamp": formatting.format_timestamp,
            "short_id": formatting.short_id,
        }
        self._env.globals["release"] = RELEASE
        self._env.globals["ui"] = self._env.get_template("ui.html").module  # for blocks that are rendered alone, too

    def page(self, template: str, **known: object) -> str:
        return self._env.get_template(template).render(known)

    def parts(self, template: str, *, view: object, operator: Operator) -> dict[str, str]:
        """The live parts of a page as HTML, by the ids of the elements that hold them."""
        sheet = self._env.get_template(template)
        context = sheet.new_context({"view": view, "operator": operator})
        live = (name for name in sheet.blocks if name.startswith(LIVE))
        return {name.removeprefix(LIVE): "".join(sheet.blocks[name](context)) for name in live}

    def moments(self, moments: Iterable[TimelineEntry]) -> str:
        """The lines of a run's timeline as HTML."""
        line = self._env.get_template("ui.html").module.moment  # type: ignore[attr-defined]
        return "".join(line(moment) for moment in moments)
