#!/usr/bin/env python3
"""Lines and branches that the tests of a build with PC_COVERAGE ran, floor by floor:
tools/coverage.py BUILD [--files]. Branches are those of the compiled code, so a && b has four."""
import gzip
import json
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
FLOORS = ["base", "net", "tls", "http", "upstream", "observe", "files", "proxy", "config", "app"]


def counts(build):
    """{file below src: {line: [count, [counts of branches]]}}, added up over all objects."""
    found = {}
    notes = [p.resolve() for p in build.rglob("*.gcno")
             if "pc_" in p.as_posix() or "portcullis.dir" in p.as_posix()]
    with tempfile.TemporaryDirectory() as folder:
        for note in notes:
            subprocess.run(["gcov", "--json-format", "--branch-probabilities", str(note)],
                           cwd=folder, check=True, capture_output=True)
            for path in pathlib.Path(folder).glob("*.gcov.json.gz"):
                for file in json.loads(gzip.decompress(path.read_bytes()))["files"]:
                    add(found, file)
                path.unlink()
    return found


def add(found, file):
    try:
        name = pathlib.Path(file["file"]).resolve().relative_to(ROOT / "src").as_posix()
    except ValueError:
        return
    lines = found.setdefault(name, {})
    for line in file["lines"]:
        branches = [b["count"] for b in line["branches"]]
        old = lines.setdefault(line["line_number"], [0, [0] * len(branches)])
        old[0] += line["count"]
        if len(old[1]) == len(branches):
            old[1] = [a + b for a, b in zip(old[1], branches)]


def row(name, files):
    lines = [line for file in files for line in file.values()]
    branches = [b for line in lines for b in line[1]]
    ran, took = sum(line[0] > 0 for line in lines), sum(b > 0 for b in branches)
    print(f"{name:24} {ran:6} of {len(lines):6} lines {100 * ran / max(1, len(lines)):5.1f} %"
          f"   {took:6} of {len(branches):6} branches {100 * took / max(1, len(branches)):5.1f} %")


def main():
    found = counts(pathlib.Path(sys.argv[1]))
    if not found:
        sys.exit("coverage: nothing was counted")
    if "--files" in sys.argv:
        for name in sorted(found):
            row(name, [found[name]])
    for floor in FLOORS:
        row(floor, [lines for name, lines in found.items() if name.startswith(floor + "/")])
    row("all", list(found.values()))


main()
