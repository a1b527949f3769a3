"""What the README says of settings is what the settings say."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.settings import SETTINGS, Setting

README = Path("README.md").read_text()


@pytest.mark.parametrize("row", SETTINGS, ids=lambda row: row.name)
def test_the_readme_has_each_setting_with_its_default_and_help(row: Setting) -> None:
    default = f"`{row.default}`" if row.default else ""
    assert f"| `{row.name}` | {default} | {row.help} |" in README
