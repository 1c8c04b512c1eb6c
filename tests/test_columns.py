"""Foreign tables: rows end where their format says, and every row knows its line."""

from audit.storage.columns import Cells


def test_a_cell_may_hold_what_other_programs_break_lines_at(tmp_path):
    path = tmp_path / "table.csv"
    prompts = ["a photo\u2028of a nurse", "a\u0085doctor", '"a\nchef"', "a\x0ccook"]
    path.write_text("prompt,gender\n" + "".join(f"{p},woman\n" for p in prompts), "utf-8")
    rows = list(Cells(path))
    assert [cells["prompt"] for _, cells in rows] == [p.strip('"') for p in prompts]
    assert [where for where, _ in rows] == [f"{path}:{line}" for line in (2, 3, 5, 6)]


def test_every_ending_of_a_line_is_read(tmp_path):
    path = tmp_path / "table.csv"
    for end in ("\n", "\r\n", "\r"):
        path.write_bytes(end.join(["file", "x.png", "y.png", ""]).encode())
        assert [cells["file"] for _, cells in Cells(path)] == ["x.png", "y.png"]
