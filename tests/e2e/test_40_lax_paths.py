"""Paths that an origin could take for another route's (`paths strict|loose`)."""
import json
import pathlib
import re

import pytest

from conftest import SANITIZER, Origin, Portcullis, echo, open_folder

CASES = json.loads((pathlib.Path(__file__).parent / "cases" / "paths.json").read_text())
# As in tests/unit/test_lax_path.c.
CONF = """site a.test {
    /dicom/* -> ORIGIN { allow from 10.0.0.0/8 }
    /Portal/* -> ORIGIN { allow from 10.0.0.0/8 }
    /admin -> ORIGIN { allow from 10.0.0.0/8 }
    ~ '\\.php$' -> ORIGIN { allow from 10.0.0.0/8 }
    /app/* -> ORIGIN { strip }
    /app/admin/* -> ORIGIN { strip; allow from 10.0.0.0/8 }
    /loose/* -> ORIGIN { paths loose }
    /twin/* -> ORIGIN
    /TWIN/* -> ORIGIN { allow from 10.0.0.0/8 }
    '/a;b' -> ORIGIN
    /sem/* -> ORIGIN { when path ~ '/secret$'; allow from 10.0.0.0/8 }
    /sem/* -> ORIGIN
    /* -> ORIGIN
}
site b.test {
    /public/* -> ORIGIN
}
site files.test {
    /secret/* -> ORIGIN { allow from 10.0.0.0/8 }
    /* -> files @DIR@/www else ORIGIN
}
"""


@pytest.fixture(scope="module")
def front():
    with open_folder() as folder:
        (folder / "www").mkdir(mode=0o755)
        (folder / "www" / "x.txt").write_text("file")
        o = Origin(echo)
        p = Portcullis(CONF.replace("ORIGIN", f"127.0.0.1:{o.port}"), folder)
        p.origin = o
        yield p
        p.stop()
        o.stop()
        assert not SANITIZER.search(p.stderr()), p.stderr()


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c['host'][0]}: {c['name']}")
def test_table_of_paths(front, case):
    before = len(front.origin.requests)
    answer = front.get(case["bytes"], host=case["host"])
    assert answer.status == case["expect"]
    passed = front.origin.requests[before:]
    assert len(passed) == (1 if case["expect"] == 200 else 0)
    if case["expect"] == 200 and not case["bytes"].startswith("/app"):
        assert passed[0].target.decode() == case["bytes"]  # as it came
    if "route" not in case:
        return
    reference = answer.header("x-request-id")
    record = front.wait_log(lambda r: r["ref"] == reference)
    assert record["refused_by"] == "ambiguous path" and record["refused_layer"] == "route"
    lines = [line.strip() for line in front.conf.read_text().splitlines()]

    def place(pattern):
        at = next(i for i, line in enumerate(lines)
                  if line.startswith((pattern + " ->", "~ '" + pattern[2:] + "'")))
        return f"route {pattern} at {front.conf}:{at + 1}"

    why = record["why"]
    assert (place(case["route"]) if case["route"] else "falls on no route") in why
    assert place(record["route"]) in why
    if "reading" in case:
        assert case["reading"] + " (" in why
    assert front.conf.name not in answer.text and "dicom" not in answer.text


def test_files_are_looked_for_under_the_same_rule(front):
    assert front.get("/x.txt", host="files.test").text == "file"
    assert front.get("/X.txt;v=1", host="files.test").status == 200  # no file: the origin's
    assert front.get("/secret%2fx.txt", host="files.test").status == 400
    assert front.get("/SECRET/x.txt", host="files.test").status == 400


def test_paths_loose_is_inherited_and_replaced(portcullis, origin):
    o = origin()
    p = portcullis(f"paths loose\nsite * {{\n /dicom/* -> 127.0.0.1:{o.port} {{ deny from any }}\n"
                   f" /strict/* -> 127.0.0.1:{o.port} {{ paths strict }}\n"
                   f" /* -> 127.0.0.1:{o.port}\n}}")
    assert p.get("/DICOM/x").status == 200
    assert p.get("/dicom/x").status == 403
    assert p.get("/strict/%252e%252e/dicom/x").status == 400


def test_an_expression_that_takes_too_long_on_a_reading_decides_nothing(portcullis, origin):
    o = origin()
    p = portcullis(f"site * {{\n ~ '^/(a+)+[xy]$' -> 127.0.0.1:{o.port} {{ deny from any }}\n"
                   f" ~ '^/x' -> 127.0.0.1:{o.port}\n /* -> 127.0.0.1:{o.port}\n}}")
    assert p.get("/xa").status == 200
    assert p.get("/" + "%2561" * 40 + "b").status == 503


def test_the_page_about_requests_is_true(portcullis, origin):
    """Its examples are rows of the table, its numbers are those of the tables, its lines run."""
    cases = pathlib.Path(__file__).parent / "cases"
    page = (cases.parent.parent.parent / "docs" / "requests.md").read_text()
    rows = {c["bytes"]: c for c in CASES}
    for example, reading in re.findall(r"^\| .* \| `(/\S+)` \| `(/\S+)` \|$", page, re.M):
        assert rows[example]["expect"] == 400 and rows[example]["reading"] == reading
    counts = [len(json.loads((cases / f"{n}.json").read_text())) for n in ("requests", "responses", "paths")]
    assert "holds %d requests, %d answers and %d paths" % tuple(counts) in page
    text = re.search(r"```\n(site .*?)```", page, re.S)[1]
    o = origin()
    p = portcullis("http serve\n" + re.sub(r"localhost:\d+", f"127.0.0.1:{o.port}", text))
    assert p.get("/wiki/%252e%252e/dicom/x", host="www.example.com").status == 200
    assert p.get("/x/%252e%252e/dicom/x", host="www.example.com").status == 400
