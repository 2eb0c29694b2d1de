"""What the pages for people say is true: their configurations pass `portcullis check`."""
import os
import pathlib
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BINARY = os.environ.get("PORTCULLIS", str(ROOT / "build" / "portcullis"))


def rows():
    """The last column of the table in coming-from.md, as one configuration each."""
    page = (ROOT / "docs" / "coming-from.md").read_text().splitlines()
    for line in page:
        cell = line.replace("\\|", "\0").split("|")
        if not line.startswith("| ") or len(cell) < 6 or cell[1].strip() in ("to", "---"):
            continue
        ours = cell[4].strip().replace("\0", "|")
        if ours.startswith("`") and not ours.startswith("`portcullis "):
            yield ours.strip("`")


# Where a line stands decides what must stand around it.
TOP = ("listen", "site", "trusted_proxies", "upstream")
SITE = ("tls", "http", "hsts")
FILES = ("listing",)


def around(line):
    head = "state state\n"
    word = line.split()[0]
    if word == "listen":
        return f"{head}{line}\nsite x.test {{ tls internal; /* -> localhost:1 }}\n"
    head += "listen http://:8081 https://:8443\n"
    if word in TOP:
        other = "" if word == "site" else "site y.test -> localhost:1\n"
        return f"{head}tls internal\n{line}\n{other}"
    if "->" in line:
        return f"{head}site x.test {{\n tls internal\n {line}\n}}\n"
    if word in SITE:
        tls = "" if word == "tls" else "tls internal\n"
        return f"{head}site x.test {{\n {tls} {line}\n /* -> localhost:1\n}}\n"
    target = "files ./public" if word in FILES else "localhost:1"
    return f"{head}site x.test {{\n tls internal\n /q/* -> {target} {{ {line} }}\n}}\n"


def check(path, folder):
    return subprocess.run([BINARY, "check", "-c", path], cwd=folder, capture_output=True, text=True,
                          timeout=30, check=False)


@pytest.fixture(name="folder")
def make_folder(tmp_path):
    """The files that the lines name."""
    (tmp_path / "public").mkdir()
    (tmp_path / "public" / "index.html").write_text("index")
    (tmp_path / "oops.html").write_text("oops")
    (tmp_path / "certs").mkdir()
    subprocess.run(
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 90 "
        "-subj /CN=x.test -addext subjectAltName=DNS:x.test -keyout a.key -out a.pem && "
        "chmod 600 a.key && cp a.pem a.key certs && cp a.pem ca.pem",
        shell=True, cwd=tmp_path, check=True, capture_output=True)
    return tmp_path


def test_the_table_has_its_thirty_rows():
    assert len(list(rows())) >= 30


@pytest.mark.parametrize("line", list(rows()))
def test_every_line_beside_another_servers_is_fine(line, folder):
    line = line.replace("/srv/www", "./public")
    (folder / "portcullis.conf").write_text(around(line))
    result = check("portcullis.conf", folder)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("name", ["hospital.conf", "quickstart.conf"])
def test_the_examples_are_fine(name, folder):
    text = (ROOT / "examples" / name).read_text()
    (folder / "portcullis.conf").write_text("state state\n" + text)
    result = check("portcullis.conf", folder)
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_readme_shows_the_example():
    """The configuration of the first page is the one in examples, line by line."""
    shown = re.search(r"## A configuration\n\n```\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    assert shown.group(1) == (ROOT / "examples" / "hospital.conf").read_text()


def test_an_error_looks_as_the_readme_shows_it(folder):
    shown = re.search(r"```\n(portcullis\.conf:3:34.*?)```", (ROOT / "README.md").read_text(), re.S)
    (folder / "portcullis.conf").write_text(
        "listen http://:8080\nsite * {\n"
        "    /api/*  ->  localhost:5000 { timeuot answer 8s }\n"
        "    /*      ->  localhost:3000\n}\n")
    result = check("portcullis.conf", folder)
    assert result.returncode == 2
    assert result.stderr.startswith(shown.group(1))


def test_every_link_of_the_pages_leads_somewhere():
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "src").glob("*/README.md")]
    for page in pages:
        for link in re.findall(r"\]\(([^)#]+)", page.read_text()):
            assert link.startswith("http") or (page.parent / link).exists(), f"{page}: {link}"
