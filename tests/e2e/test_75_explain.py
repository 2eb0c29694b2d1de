"""`expect` and `explain`: what would happen to a request, told by the code that serves."""
from conftest import cli

# ---- expect ----

GUARDED = """
site localhost {
    /admin/* -> respond 200 admin { %s }
    /* -> respond 200 open
    expect GET /admin/x from 8.8.8.8 -> 403
    expect GET / -> 200
}
"""


def test_a_reload_that_breaks_an_expectation_is_refused_with_both_decisions(portcullis):
    p = portcullis(GUARDED % "allow from 127.0.0.0/8")
    assert p.get("/admin/x").text == "admin"
    done = p.reload(GUARDED % "body 1k")
    assert done.returncode == 1
    line = next(i for i, text in enumerate(p.conf.read_text().split("\n"), 1) if "8.8.8.8" in text)
    route = next(i for i, text in enumerate(p.conf.read_text().split("\n"), 1) if "admin { " in text)
    assert f"{p.conf}:{line}:" in done.stderr
    assert "GET /admin/x from 8.8.8.8 is expected to come to '403', but the answer is 200" in done.stderr
    assert f"by the route '/admin/*' ({p.conf}:{route})" in done.stderr
    assert "generation 1 serves on" in done.stderr
    assert "GET /admin/x" in p.stderr()
    assert p.status()["generation"] == 1
    assert p.reload(GUARDED % "allow from 10.0.0.0/8").returncode == 0
    assert p.get("/admin/x").status == 403


def test_a_start_that_breaks_an_expectation_is_refused(portcullis):
    p = portcullis("site localhost { /* -> respond 200; expect GET /x -> 404 }\n")
    assert p.process.wait(10) != 0
    assert "is expected to come to '404', but the answer is 200" in p.stderr()


def test_check_tries_what_is_expected(folder):
    conf = folder / "x.conf"
    conf.write_text("listen http://127.0.0.1:8080\nstate state\n"
                    "site a.example { /* -> localhost:1; expect GET /x -> 200 }\n")
    done = cli("check", "-c", conf, cwd=folder)
    assert done.returncode == 2
    assert "x.conf:3:54: GET /x is expected to come to '200', but it is forwarded" in done.stderr
    assert "-> forward, or -> /*" in done.stderr
    conf.write_text(conf.read_text().replace("-> 200", "-> forward"))
    done = cli("check", "-c", conf, cwd=folder)
    assert done.returncode == 0, done.stderr
