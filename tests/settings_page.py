"""`make settings`: rewrites the table of docs/settings.md from the fields of `shared/settings.py`."""

from __future__ import annotations

from pathlib import Path

from shared.settings import SETTINGS, Setting

PAGE = Path("docs/settings.md")
HEAD = "| name | default | what it is |\n|---|---|---|\n"


def with_settings(text: str) -> str:
    """The text with one row for each setting in its table, which ends at an empty line."""
    before, after = text.split(HEAD)
    _, rest = after.split("\n\n", 1)
    return f"{before}{HEAD}{''.join(map(_row, SETTINGS))}\n{rest}"


def _row(setting: Setting) -> str:
    default = f"`{setting.default}`" if setting.default else ""
    return f"| `{setting.name}` | {default} | {setting.help} |\n"


if __name__ == "__main__":
    PAGE.write_text(with_settings(PAGE.read_text()))
