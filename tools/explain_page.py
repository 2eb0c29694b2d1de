#!/usr/bin/env python3
"""Runs the commands of docs/explain.md on the configuration that stands there and writes what they
print below them; with --check says whether the page tells what the program does.

    tools/explain_page.py BINARY [--check]
"""
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile

PAGE = pathlib.Path(__file__).resolve().parent.parent / "docs" / "explain.md"
BLOCK = re.compile(r"```console\n\$ portcullis (.*?)\n(.*?)```", re.S)
# What differs from run to run, or from machine to machine.
VOLATILE = [
    (r"(X-Request-Id: )\w+", r"\1REF"),
    (r"(Date: ).*? GMT", r"\1DATE"),
    (r"(good for )\d+( days, until )[\d:.TZ-]+", r"\1N\2DATE"),
    (r"(unresolved +[\w.]+: ).*", r"\1WHY"),
]


def steady(text):
    for pattern, by in VOLATILE:
        text = re.sub(pattern, by, text)
    return text


def made(binary, page):
    """The page with what the commands print now."""
    conf = re.search(r"```conf\n(.*?)```", page, re.S).group(1)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "public").mkdir()
        (folder / "portcullis.conf").write_text(conf)
        (folder / "broken.conf").write_text(conf.replace("        allow from 10.0.0.0/8\n", "", 1))

        def run(match):
            done = subprocess.run([binary, *shlex.split(match.group(1))], cwd=folder, text=True,
                                  capture_output=True)
            told = "".join(line for line in (done.stdout + done.stderr).splitlines(True)
                           if not line.startswith("notice: a local CA"))
            return f"```console\n$ portcullis {match.group(1)}\n{told.rstrip()}\n```"

        return BLOCK.sub(run, page)


def main():
    binary = str(pathlib.Path(sys.argv[1]).resolve())
    page = PAGE.read_text("utf-8")
    now = made(binary, page)
    if "--check" not in sys.argv:
        PAGE.write_text(now, "utf-8")
        return 0
    if steady(now) == steady(page):
        return 0
    print("docs/explain.md is stale: run tools/explain_page.py BINARY", file=sys.stderr)
    return 1


sys.exit(main())
