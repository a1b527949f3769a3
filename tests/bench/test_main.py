"""Plays one small case on all three services, as real processes."""

from __future__ import annotations

from pathlib import Path

from bench.__main__ import compare


async def test_the_three_services_do_the_same_work_and_none_says_a_wrong_byte(
    tmp_path: Path, valkey_binary: str
) -> None:
    lines: list[str] = []
    results = await compare(tmp_path, {"first"}, rounds=2, naive_rounds=1, progress=lines.append)
    assert set(results["first"]) == {"ceiling", "naive", "runrelay"}
    assert all(figure > 0 for figures in results["first"].values() for figure in figures.values())
    assert len([line for line in lines if line.endswith("naive")]) == 1
    assert len([line for line in lines if line.endswith("runrelay")]) == 2
