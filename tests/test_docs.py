"""The documents agree with the settings and with the tests."""

from __future__ import annotations

import re
from pathlib import Path

from tests.settings_page import PAGE, with_settings


def test_the_page_of_settings_has_each_one_with_its_default_and_help_and_no_other() -> None:
    written = PAGE.read_text()
    assert written == with_settings(written), "`make settings` rewrites the table"


def test_each_fault_names_tests_that_are_there() -> None:
    _, table = Path("docs/reliability.md").read_text().split("## Faults and outcomes")
    rows = [line.split(" | ") for line in table.split("\n## ")[0].splitlines() if line.startswith("| ")]
    assert len(rows) > 20
    for fault, *_, tried in rows[1:]:
        files = re.findall(r"`([\w/]+/test_\w+\.py)`", tried)
        assert files, fault
        assert all((Path("tests") / file).is_file() for file in files), fault
