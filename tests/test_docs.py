"""What the documents say of settings and of tests is so."""

from __future__ import annotations

import re
from pathlib import Path

from tests.readme import README, with_settings


def test_the_readme_has_each_setting_with_its_default_and_help_and_no_other() -> None:
    written = README.read_text()
    assert written == with_settings(written), "`make readme` writes the table of settings anew"


def test_each_fault_names_tests_that_are_there() -> None:
    _, table = Path("docs/reliability.md").read_text().split("## Faults and outcomes")
    rows = [line.split(" | ") for line in table.split("\n## ")[0].splitlines() if line.startswith("| ")]
    assert len(rows) > 20
    for fault, *_, tried in rows[1:]:
        files = re.findall(r"`([\w/]+/test_\w+\.py)`", tried)
        assert files, fault
        assert all((Path("tests") / file).is_file() for file in files), fault
