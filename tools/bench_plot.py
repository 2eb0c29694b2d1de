#!/usr/bin/env python3
"""Draws the ratios of docs/benchmarks.md as docs/img/benchmarks.svg; --check fails where it is stale.

Whatever table has the columns "work" and "ratio to best peer" is drawn, in the order of the page.
"""
import html
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGE, PLOT = ROOT / "docs/benchmarks.md", ROOT / "docs/img/benchmarks.svg"
LABEL, WIDTH, ROW, LARGEST = 430, 420, 24, 1.6  # pixels, but for the last: the ratio at the right edge


def ratios(text):
    """(work, ratio) of each row."""
    columns = None
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")] if line.startswith("|") else None
        if cells is None:
            columns = None
        elif columns is None:
            columns = cells
        elif "ratio to best peer" in columns:
            ratio = cells[columns.index("ratio to best peer")]
            if re.fullmatch(r"\d+\.\d+", ratio):
                yield re.sub(r"[*`]", "", cells[0]), float(ratio)


def svg(rows):
    height = ROW * (len(rows) + 2)
    one = LABEL + WIDTH / LARGEST
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{LABEL + WIDTH + 60}" height="{height}" '
           'font-family="sans-serif" font-size="12">',
           '<rect width="100%" height="100%" fill="white"/>',
           f'<text x="{one}" y="14" text-anchor="middle">1.0 = the best peer of the same run</text>']
    for i, (work, ratio) in enumerate(rows):
        y = ROW * (i + 1)
        width = min(ratio, LARGEST) * WIDTH / LARGEST
        colour = "#2e7d32" if ratio <= 1 else "#c62828"
        out.append(f'<text x="{LABEL - 8}" y="{y + 15}" text-anchor="end">{html.escape(work)}</text>')
        out.append(f'<rect x="{LABEL}" y="{y + 3}" width="{width:.1f}" height="{ROW - 8}" fill="{colour}"/>')
        out.append(f'<text x="{LABEL + width + 5:.1f}" y="{y + 15}">{ratio:.2f}</text>')
    out.append(f'<line x1="{one}" y1="18" x2="{one}" y2="{height - ROW + 4}" stroke="black" '
               'stroke-dasharray="4 3"/>')
    out.append(f'<text x="{LABEL}" y="{height - 6}">less is better; green: we win, red: we lose</text></svg>')
    return "\n".join(out) + "\n"


def main():
    drawn = svg(list(ratios(PAGE.read_text(encoding="utf-8"))))
    if "--check" in sys.argv:
        if PLOT.read_text(encoding="utf-8") != drawn:
            sys.exit(f"{PLOT} is stale: run tools/bench_plot.py")
        return
    PLOT.write_text(drawn, encoding="utf-8")


main()
