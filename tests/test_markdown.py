"""Tables in Markdown hold whatever their cells hold."""

from hypothesis import given
from hypothesis import strategies as st

from retina_adapt.markdown import markdown_table


def test_text_is_aligned_left_and_numbers_right() -> None:
    table = markdown_table(["name", "PSNR", "SSIM"], [["light", "24.6", "0.94"]], text_columns=1)
    assert table == "| name | PSNR | SSIM |\n|---|---:|---:|\n| light | 24.6 | 0.94 |"


@given(st.lists(st.lists(st.text(alphabet="ab|\n\r \u2028", max_size=6), min_size=2, max_size=2), max_size=4))
def test_no_cell_can_end_its_cell_or_its_row(rows: list[list[str]]) -> None:
    header, rule, *lines = markdown_table(["", "value"], rows).splitlines()
    assert rule == "|---|---|"
    assert len(lines) == len(rows)
    for line in (header, *lines):
        assert line.replace("\\|", "").count("|") == 3
