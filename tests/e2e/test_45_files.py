"""Static files and compression, from the disk or an origin to the client."""
import gzip
import os
import subprocess
import zlib

import pytest

from conftest import wait_for

TEXT = "".join(f"line {i} of a long text\n" for i in range(500)).encode()


@pytest.fixture
def site(portcullis):
    """site(route block) serves a folder with files of all kinds at /."""
    def start(block="", more="", target=""):
        p = portcullis(f"site * {{\n{more}\n /* -> files @DIR@/www {target} {{ {block} }}\n}}\n", start=False)
        p.file("secret.txt", "outside")
        for name, content in {
                "index.html": "<p>home</p>", "a.txt": "0123456789", "long.txt": TEXT, "empty.txt": "",
                "sub/index.html": "<p>sub</p>", "bare/x.txt": "x", ".hidden": "no", ".git/config": "no",
                ".well-known/acme": "yes", "a b.txt": "space", "ü.txt": "umlaut", "image.png": b"\x89PNG" + TEXT,
                "app.js": b"var a;" + TEXT, "app.js.gz": gzip.compress(b"var a;" + TEXT),
                "app.js.br": b"not really brotli", "data.json": b"{}", "no-extension": "x",
                "v.svg": "<svg/>", "w.wasm": b"\0asm", "m.mjs": "x", "dir.d/index.htm": "htm"}.items():
            p.file("www/" + name, content)
        os.symlink("../secret.txt", p.dir / "www/out.txt")
        os.symlink("/etc/passwd", p.dir / "www/passwd")
        os.symlink("a.txt", p.dir / "www/inside.txt")
        os.mkfifo(p.dir / "www/fifo")
        for folder, _, _ in os.walk(p.dir / "www"):
            os.chmod(folder, 0o755)
        p.start()
        assert p.returncode is None, p.stderr()
        return p
    return start


def test_files_and_their_types(site):
    p = site()
    for path, kind in {"/a.txt": "text/plain", "/": "text/html", "/data.json": "application/json",
                       "/image.png": "image/png", "/v.svg": "image/svg+xml", "/w.wasm": "application/wasm",
                       "/app.js": "text/javascript", "/m.mjs": "text/javascript",
                       "/no-extension": "application/octet-stream"}.items():
        answer = p.get(path)
        assert answer.status == 200, path
        assert answer.header("content-type").split(";")[0] == kind
        assert answer.header("x-content-type-options") in (None, "nosniff")
    answer = p.get("/a.txt")
    assert answer.body == b"0123456789" and answer.header("content-length") == "10"
    assert answer.header("etag") and answer.header("last-modified") and answer.header("accept-ranges") == "bytes"
    assert p.get("/empty.txt").body == b"" and p.get("/a%20b.txt").text == "space"
    assert p.get("/%C3%BC.txt").text == "umlaut"
    assert p.get("/long.txt").body == TEXT


def test_index_and_folders(site):
    p = site()
    assert p.get("/").text == "<p>home</p>"
    assert p.get("/sub/").text == "<p>sub</p>"
    answer = p.get("/sub?q=1")
    assert (answer.status, answer.header("location")) == (308, "/sub/?q=1")
    assert p.get("/bare/").status in (403, 404)
    assert p.get("/missing").status == 404
    assert p.get("/a.txt/").status == 404
    assert p.get("/a.txt/x").status == 404


def test_head_and_other_methods(site):
    p = site()
    answer = p.request("HEAD", "/a.txt")
    assert answer.status == 200 and answer.header("content-length") == "10"
    for method in ("POST", "PUT", "DELETE"):
        answer = p.request(method, "/a.txt", body="x")
        assert answer.status == 405 and "GET" in answer.header("allow")


def test_index_lines(site):
    p = site("index index.htm index.html")
    assert p.get("/dir.d/").text == "htm"
    assert p.get("/sub/").text == "<p>sub</p>"


def test_nothing_leaves_the_folder(site):
    p = site()
    for path in ("/out.txt", "/passwd", "/.hidden", "/.git/config", "/.git/", "/fifo", "/..%2fsecret.txt",
                 "/sub/..%2f..%2fsecret.txt", "/%2e%2e/secret.txt", "//etc/passwd"):
        answer = p.get(path)
        assert answer.status in (400, 403, 404), path
        assert b"outside" not in answer.body and b"root:" not in answer.body
    assert p.get("/.well-known/acme").text == "yes"
    assert p.get("/inside.txt").text == "0123456789"


def test_strip_and_the_path_below_the_folder(portcullis):
    p = portcullis("site * {\n /static/* -> files @DIR@/www\n /s/* -> files @DIR@/www { strip }\n"
                   " /exact -> files @DIR@/www { rewrite /x.txt }\n}\n", start=False)
    p.file("www/static/x.txt", "below")
    p.file("www/x.txt", "top")
    p.file("www/d/index.html", "d")
    p.start()
    assert p.get("/static/x.txt").text == "below"
    assert p.get("/s/x.txt").text == "top"
    assert p.get("/exact").text == "top"
    assert p.get("/s/d").header("location") == "/s/d/"  # what the client knows, not what was looked for


def test_fallback_for_applications_of_one_page(site):
    p = site("fallback index.html")
    answer = p.get("/some/deep/path")
    assert answer.status == 200 and answer.text == "<p>home</p>"
    assert p.get("/a.txt").text == "0123456789"


def test_else_asks_an_origin(site, origin):
    o = origin()
    p = site(target=f"else 127.0.0.1:{o.port}")
    assert p.get("/a.txt").text == "0123456789"
    assert p.get("/missing?q").json["target"] == "/missing?q"
    assert p.request("POST", "/a.txt", body="b").json["method"] == "POST"
    assert p.get("/.hidden").json["target"] == "/.hidden"


def test_listing(site):
    assert site().get("/bare/").status in (403, 404)
    p = site("listing on")
    answer = p.get("/bare/")
    assert answer.status == 200 and "x.txt" in answer.text
    names = p.get("/", headers=[("Accept", "application/json")])
    assert names.status == 200 and ".hidden" not in names.text and ".git" not in names.text


def test_cache(site):
    assert site().get("/a.txt").header("cache-control") in (None, "no-cache")
    assert "max-age=3600" in site("cache 1h").get("/a.txt").header("cache-control")


# --- conditions and ranges ------------------------------------------------------------------


def test_conditions(site):
    p = site()
    first = p.get("/a.txt")
    etag, date = first.header("etag"), first.header("last-modified")
    old, new = "Mon, 01 Jan 2001 00:00:00 GMT", "Fri, 01 Jan 2100 00:00:00 GMT"
    for headers, status in [
            ([("If-None-Match", etag)], 304), ([("If-None-Match", f'"x", W/{etag.removeprefix("W/")}')], 304),
            ([("If-None-Match", "*")], 304), ([("If-None-Match", '"x"')], 200),
            ([("If-Modified-Since", date)], 304), ([("If-Modified-Since", old)], 200),
            ([("If-Modified-Since", "nonsense")], 200),
            ([("If-None-Match", '"x"'), ("If-Modified-Since", new)], 200),
            ([("If-Match", '"x"')], 412), ([("If-Match", "*")], 200),
            ([("If-Unmodified-Since", old)], 412), ([("If-Unmodified-Since", new)], 200)]:
        answer = p.get("/a.txt", headers=headers)
        assert answer.status == status, headers
        if status == 304:
            assert answer.header("etag") == etag and not answer.body
    p.file("www/a.txt", "changed!!!")
    assert p.get("/a.txt", headers=[("If-None-Match", etag)]).text == "changed!!!"


@pytest.mark.parametrize("value,status,content_range,body", [
    ("bytes=0-3", 206, "bytes 0-3/10", b"0123"), ("bytes=8-", 206, "bytes 8-9/10", b"89"),
    ("bytes=-3", 206, "bytes 7-9/10", b"789"), ("bytes=0-99", 206, "bytes 0-9/10", b"0123456789"),
    ("bytes=-99", 206, "bytes 0-9/10", b"0123456789"),
    ("bytes=10-", 416, "bytes */10", None), ("bytes=-0", 416, "bytes */10", None),
    ("bytes=5-3", 200, None, b"0123456789"), ("lines=1-2", 200, None, b"0123456789"),
    ("bytes=0-1,0-1,1-3", 206, "bytes 0-3/10", b"0123"),
    ("bytes=" + ",".join(f"{i}-{i}" for i in range(0, 34, 2)), 200, None, b"0123456789"),
])
def test_ranges(site, value, status, content_range, body):
    answer = site().get("/a.txt", headers=[("Range", value)])
    assert answer.status == status
    assert answer.header("content-range") == content_range
    if body is not None:
        assert answer.body == body


def test_several_ranges(site):
    answer = site().get("/a.txt", headers=[("Range", "bytes=0-1,5-6,-1")])
    assert answer.status == 206
    kind = answer.header("content-type")
    assert kind.startswith("multipart/byteranges; boundary=")
    parts = answer.body.split(b"--" + kind.split("=")[1].strip('"').encode())
    assert [part.partition(b"\r\n\r\n")[2].strip() for part in parts[1:-1]] == [b"01", b"56", b"9"]
    assert int(answer.header("content-length")) == len(answer.body)


def test_if_range(site):
    p = site()
    etag = p.get("/a.txt").header("etag")
    strong = not etag.startswith("W/")
    assert p.get("/a.txt", headers=[("Range", "bytes=0-1"), ("If-Range", etag)]).status == (206 if strong else 200)
    assert p.get("/a.txt", headers=[("Range", "bytes=0-1"), ("If-Range", '"x"')]).status == 200


# --- compression ----------------------------------------------------------------------------

DECODE = {"gzip": gzip.decompress, "br": lambda b: tool(["brotli", "-dc"], b),
          "zstd": lambda b: tool(["zstd", "-dcq"], b)}


def tool(words, data):
    try:
        return subprocess.run(words, input=data, capture_output=True, check=True).stdout
    except FileNotFoundError:
        pytest.skip(f"{words[0]} is not installed")


def accept(value, *more):
    return [("Accept-Encoding", value), *more]


@pytest.mark.parametrize("value,coding", [
    ("gzip", "gzip"), ("br", "br"), ("zstd", "zstd"), ("gzip;q=0.5, br;q=0", "gzip"),
    ("gzip;q=0", None), ("identity", None), ("deflate", None), ("*;q=0", None), (None, None)])
def test_text_is_compressed_as_the_client_likes(site, value, coding):
    answer = site().get("/long.txt", headers=accept(value) if value else [])
    assert answer.header("content-encoding") == coding
    assert "accept-encoding" in answer.header("vary").lower()
    assert (DECODE[coding](answer.body) if coding else answer.body) == TEXT


def test_what_is_not_compressed(site):
    p = site()
    for path in ("/a.txt", "/image.png", "/empty.txt"):
        assert p.get(path, headers=accept("gzip")).header("content-encoding") is None
    cross = p.get("/long.txt", headers=accept("gzip", ("Sec-Fetch-Site", "cross-site")))
    assert cross.header("content-encoding") is None
    part = p.get("/long.txt", headers=accept("gzip", ("Range", "bytes=0-9")))
    assert (part.status, part.header("content-encoding"), part.body) == (206, None, TEXT[:10])
    assert site("compress off").get("/long.txt", headers=accept("gzip")).header("content-encoding") is None


def test_a_sibling_goes_out_as_it_is(site):
    p = site()
    answer = p.get("/app.js", headers=accept("gzip"))
    assert answer.header("content-encoding") == "gzip"
    assert answer.header("content-type").startswith("text/javascript")
    assert gzip.decompress(answer.body) == b"var a;" + TEXT
    assert answer.header("content-length") == str(len(gzip.compress(b"var a;" + TEXT)))
    answer = p.get("/app.js", headers=accept("gzip, br"))
    assert (answer.header("content-encoding"), answer.body) == ("br", b"not really brotli")
    assert p.get("/app.js").body == b"var a;" + TEXT


@pytest.mark.parametrize("path", ["/long.txt", "/app.js"])
def test_the_etag_of_a_coding_comes_home(site, path):
    p = site()
    tags = set()
    for value in ("identity", "gzip", "br"):
        answer = p.get(path, headers=accept(value))
        tags.add(answer.header("etag"))
        again = p.get(path, headers=accept(value, ("If-None-Match", answer.header("etag"))))
        assert again.status == 304, value
        assert again.header("etag") == answer.header("etag")
        assert "accept-encoding" in again.header("vary").lower()
    assert len(tags) == 3 or all(t.startswith("W/") for t in tags)


def text_origin(origin, headers=(), body=TEXT, etag='"abc"'):
    def script(conn):
        while (request := conn.read_request()) is not None:
            if etag and request.header("if-none-match") and etag.strip("W/") in request.header("if-none-match"):
                conn.send(b"HTTP/1.1 304 Not Modified\r\nETag: %s\r\n\r\n" % etag.encode())
            else:
                conn.answer(body=body, headers=[("Content-Type", "text/plain"), *headers,
                                                *([("ETag", etag)] if etag else [])])
    return origin(script)


@pytest.mark.parametrize("etag", ['"abc"', 'W/"abc"'])
def test_proxied_text_is_compressed_and_its_etag_comes_home(portcullis, origin, etag):
    o = text_origin(origin, etag=etag)
    p = portcullis(f"site * -> 127.0.0.1:{o.port}")
    plain = p.get("/x")
    assert plain.header("etag") == etag and plain.body == TEXT
    assert "accept-encoding" in plain.header("vary").lower()
    answer = p.get("/x", headers=accept("gzip"))
    assert answer.header("content-encoding") == "gzip" and gzip.decompress(answer.body) == TEXT
    ours = answer.header("etag")
    assert ours.startswith("W/") or ours != etag
    again = p.get("/x", headers=accept("gzip", ("If-None-Match", ours)))
    assert again.status == 304 and again.header("etag") == ours
    assert p.wait_log(lambda r: r.get("encoding"))["encoding"] == "gzip"


@pytest.mark.parametrize("headers", [
    [("Content-Encoding", "gzip")], [("Cache-Control", "no-transform")], [("Content-Type", "image/png")]])
def test_proxied_answers_that_stay_as_they_are(portcullis, origin, headers):
    def script(conn):
        while conn.read_request() is not None:
            conn.answer(body=TEXT, headers=[*([] if headers[0][0] == "Content-Type"
                                              else [("Content-Type", "text/plain")]), *headers])

    o = origin(script)
    p = portcullis(f"site * -> 127.0.0.1:{o.port}")
    answer = p.get("/", headers=accept("br"))
    assert answer.body == TEXT and answer.header("content-encoding") in (None, "gzip")
    assert answer.header("content-length") == str(len(TEXT))


def test_a_compressed_stream_is_flushed_as_it_comes(portcullis, origin):
    def script(conn):
        conn.read_request()
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n")
        for n, piece in enumerate((b"first", b"second", b"third")):
            wait_for(lambda: len(seen) == n, "the piece before")
            conn.send(b"%x\r\n%s\r\n" % (len(piece), piece))
        conn.send(b"0\r\n\r\n")

    seen = []
    o = origin(script)
    p = portcullis(f"site * -> 127.0.0.1:{o.port}")
    with p.connect() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n")
        head = client.read_until(b"\r\n\r\n").lower()
        assert b"content-encoding: gzip" in head
        inflate, text = zlib.decompressobj(31), b""
        for piece in (b"first", b"second", b"third"):
            while not text.endswith(piece):
                size = int(client.read_until(b"\r\n"), 16)
                text += inflate.decompress(client.read_exactly(size))
                client.read_exactly(2)
            seen.append(piece)
    assert text == b"firstsecondthird"


def test_a_file_that_is_replaced_while_it_is_sent(site):
    p = site()
    p.file("www/big.bin", b"a" * 30_000_000)
    with p.connect() as client:
        client.send(b"GET /big.bin HTTP/1.1\r\nHost: x\r\n\r\n")
        head = client.read_until(b"\r\n\r\n")
        assert b"30000000" in head
        os.truncate(p.dir / "www/big.bin", 1000)
        rest = client.read_all()
    assert len(rest) < 30_000_000  # cut, never padded
    assert p.get("/a.txt").text == "0123456789"


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_files_of_every_size_arrive_whole(portcullis, scheme):
    """Around the bounds of pieces, turns and backlogs, and far above them."""
    p = portcullis("listen http://127.0.0.1:@HTTP@ https://127.0.0.1:@HTTPS@\ntls internal\nhttp serve\n"
                   "site * -> files @DIR@/www\n", start=False)
    sizes = [0, 1, 16383, 16384, 16385, 65000, 65535, 65536, 65537, 100 * 1024, 131072, 131073, 262144, 3 << 20]
    data = os.urandom(max(sizes))
    for size in sizes:
        p.file(f"www/{size}.bin", data[:size])
    p.start()
    port = p.port if scheme == "http" else p.tls_port
    urls = [f"{scheme}://127.0.0.1:{port}/{size}.bin" for size in sizes * 2]
    # One connection for all of them, as a browser would.
    outputs = [word for n in range(len(urls)) for word in ("-o", str(p.dir / f"got{n}"))]
    done = subprocess.run(["curl", "-sSk", "--fail-early", "--http1.1", "-m", "20", "-w", "%{http_code} %{num_connects}\n",
                           *outputs, *urls], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[0] == "200 1"
    assert set(done.stdout.split("\n")[1:-1]) == {"200 0"}
    for n, size in enumerate(sizes * 2):
        assert (p.dir / f"got{n}").read_bytes() == data[:size], size
