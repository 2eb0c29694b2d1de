#!/usr/bin/env python3
"""Holds the house to its drawing: a file includes only its own folder and the folders below it,
neighbours do not know each other, file stems are unique, and no two files include each other in a
ring. Prints every breach; exit status 1 when there is one."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
SRC = ROOT / "src"
# Ground first. Folders on one line are neighbours.
FLOORS = [
    ["base"],
    ["net"],
    ["tls", "firewall"],
    ["http"],
    ["upstream", "waf", "observe", "files"],
    ["acme"],
    ["proxy"],
    ["config"],
    ["app"],
]
LEVEL = {name: i for i, row in enumerate(FLOORS) for name in row}
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.M)


def main():
    breaches, edges, stems = [], {}, {}
    files = sorted(p for p in SRC.rglob("*") if p.suffix in (".c", ".h"))
    for path in files:
        name = path.relative_to(SRC).as_posix()
        folder = name.split("/")[0]
        if folder not in LEVEL:
            breaches.append(f"{name}: folder '{folder}' is on no floor")
            continue
        stems.setdefault(path.stem, set()).add(path.parent)
        for target in INCLUDE.findall(path.read_text()):
            if not (SRC / target).is_file():
                breaches.append(f"{name}: includes {target}, which is not below src/")
                continue
            other = target.split("/")[0]
            if other != folder and LEVEL[other] >= LEVEL[folder]:
                kind = "a neighbour" if LEVEL[other] == LEVEL[folder] else "upstairs"
                breaches.append(f"{name}: includes {target} ({kind})")
            edges.setdefault(name.rsplit(".", 1)[0], set()).add(target.rsplit(".", 1)[0])
    for stem, folders in sorted(stems.items()):
        if len(folders) > 1:
            breaches.append(f"stem '{stem}' stands in {', '.join(sorted(f.name for f in folders))}")
    breaches += rings(edges)
    for line in breaches:
        print(line)
    print(f"floors: {len(files)} files, {len(breaches)} breaches")
    return 1 if breaches else 0


def rings(edges):
    """Modules (foo.c and foo.h as one) that include each other in a ring."""
    found, state, stack = [], {}, []

    def visit(node):
        state[node] = 1
        stack.append(node)
        for other in sorted(edges.get(node, ())):
            if other == node:
                continue
            if state.get(other) == 1:
                found.append("ring: " + " -> ".join(stack[stack.index(other):] + [other]))
            elif other not in state:
                visit(other)
        stack.pop()
        state[node] = 2

    for node in sorted(edges):
        if node not in state:
            visit(node)
    return found


sys.exit(main())
