#!/usr/bin/python3
"""CPU per proxied request of Portcullis beside nginx and HAProxy, measured in one run, with the same
certificate, the same origin and the same load. README.md says what the figures mean."""
import argparse
import http.client
import os
import pathlib
import platform
import re
import shutil
import signal
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
BODY = "portcullis-bench" * 64  # 1 KB
CIPHER = "TLS_AES_128_GCM_SHA256"  # what Portcullis chooses; an AES-256 would cost the peers more
TICKS = os.sysconf("SC_CLK_TCK")
STARTED = []  # every process this program started and has not ended


class Trouble(Exception):
    """Something a reader must see in place of figures."""


# --- processes -----------------------------------------------------------------------------------


def start(name, argv, core, run):
    """Starts a server in a folder of its own, on one core (None: wherever the system likes)."""
    pin = (lambda: os.sched_setaffinity(0, {core})) if core is not None else None
    with open(run / "output", "wb") as output:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                                   cwd=run, preexec_fn=pin)
    process.name, process.output = name, run / "output"
    STARTED.append(process)
    return process


def end_all():
    for process in STARTED:
        if process.poll() is None:
            process.terminate()
    deadline = time.monotonic() + 5
    for process in STARTED:
        try:
            process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    STARTED.clear()


def stat_fields(pid):
    """The fields of /proc/PID/stat from the third on; the name before them may hold spaces."""
    return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def cpu_seconds(root):
    """User and system time of a process and all below it. The time of children that have ended is in
    that of the parent that waited for them, so nothing is lost when a helper process ends."""
    rows = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                rows[int(entry)] = stat_fields(entry)
            except (FileNotFoundError, ProcessLookupError):
                pass
    ticks, family = 0, {root}
    grew = True
    while grew:
        below = {pid for pid, row in rows.items() if int(row[1]) in family}
        grew = not below <= family
        family |= below
    for pid in family & rows.keys():
        ticks += sum(map(int, rows[pid][11:15]))  # utime, stime, cutime, cstime
    return ticks / TICKS


# --- contestants ---------------------------------------------------------------------------------


def free_ports(count):
    holders = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [holder.getsockname()[1] for holder in holders]
    for holder in holders:
        holder.close()
    return ports


def fill(template, target, marks):
    def value(match):
        return str(marks[match[1]])

    text = (HERE / template).read_text()
    # The marks that a comment speaks of are no marks.
    lines = [line if line.startswith("#") else re.sub(r"@([A-Z_]+)@", value, line)
             for line in text.splitlines(True)]
    target.write_text("".join(lines))


def make_certificate(folder):
    cert, key, pem = folder / "cert.pem", folder / "key.pem", folder / "both.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                    "-nodes", "-keyout", key, "-out", cert, "-days", "365", "-subj", "/CN=localhost",
                    "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"],
                   check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    key.chmod(0o600)
    pem.touch(0o600)
    pem.write_text(cert.read_text() + key.read_text())
    return {"CERT": cert, "KEY": key, "PEM": pem}


def first_match(argv, pattern):
    found = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    match = re.search(pattern, found.stdout)
    return match[1] if match else "of unknown version"


def find(tool):
    """Servers lie in sbin, which is not in everybody's PATH."""
    return shutil.which(tool, path=os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin")


def contestants(binary):
    """Name, template, command line and version of each that is there; names of those that are not."""
    nginx, haproxy = find("nginx"), find("haproxy")
    rows = [("portcullis", "portcullis.conf.in", [binary, "run", "-c", "conf"],
             first_match([binary, "--version"], r"portcullis (\S+)"))]
    if nginx:
        rows.append(("nginx", "nginx.conf.in", [nginx, "-p", ".", "-e", "error.log", "-c", "conf"],
                     first_match([nginx, "-v"], r"nginx/(\S+)")))
    if haproxy:
        rows.append(("haproxy", "haproxy.cfg.in", [haproxy, "-db", "-f", "conf"],
                     first_match([haproxy, "-v"], r"version (\S+)")))
    return rows, [name for name, path in (("nginx", nginx), ("haproxy", haproxy)) if not path]


def prove(process, port, tls):
    """Waits until a server answers with the body expected, so that nothing else is ever measured."""
    context = ssl._create_unverified_context() if tls else None
    deadline, what = time.monotonic() + 10, "no answer"
    while time.monotonic() < deadline and process.poll() is None:
        client = http.client.HTTPSConnection("127.0.0.1", port, timeout=3, context=context) if tls \
            else http.client.HTTPConnection("127.0.0.1", port, timeout=3)
        try:
            client.request("GET", "/")
            spoken = client.sock.cipher() if tls else None
            answer = client.getresponse()
            body = answer.read().decode("latin-1")
            if tls and spoken[0] != CIPHER:
                raise Trouble(f"{process.name} chose {spoken[0]}, the others {CIPHER}")
            if answer.status == 200 and body == BODY:
                return
            what = f"status {answer.status}, {len(body)} bytes"
        except (OSError, http.client.HTTPException) as error:
            what = str(error)
        finally:
            client.close()
        time.sleep(0.05)
    raise Trouble(f"{process.name} does not serve ({what}):\n{process.output.read_text()}")


# --- measuring -----------------------------------------------------------------------------------


def load(url, seconds, connections, core, script="report.lua"):
    """Runs wrk; answers requests, seconds and errors as wrk counted them."""
    pin = (lambda: os.sched_setaffinity(0, {core})) if core is not None else None
    ran = subprocess.run(["wrk", "-t1", f"-c{connections}", f"-d{seconds}", "--timeout", "20s",
                          "-s", HERE / script, url],
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, preexec_fn=pin)
    match = re.search(r"^@@ (\d+) (\d+) (\d+)$", ran.stdout, re.M)
    if ran.returncode or not match or match[1] == "0":
        raise Trouble(f"wrk on {url} failed:\n{ran.stdout}")
    return int(match[1]), int(match[2]) / 1e6, int(match[3])


def measure(process, url, core, options, connections, script):
    """One round: microseconds of CPU per request, and requests per second."""
    before = cpu_seconds(process.pid)
    requests, seconds, errors = load(url, options.seconds, connections, core, script)
    spent = cpu_seconds(process.pid) - before
    if process.poll() is not None:
        raise Trouble(f"{process.name} ended under load:\n{process.output.read_text()}")
    if errors:
        raise Trouble(f"{process.name} made {errors} errors in {requests} requests of {url}")
    return 1e6 * spent / requests, requests / seconds


def run_scenario(title, field, cast, core, options, connections=None, script="report.lua"):
    """Rounds A B C A B C, so that what else the machine does falls on all alike."""
    url = {name: f"{'https' if field else 'http'}://127.0.0.1:{ports[field]}/"
           for name, _, ports in cast}
    connections = connections or options.connections
    for name, _, _ in cast:  # fills the pools, faults the pages in
        load(url[name], 1, connections, core, script)
    rounds = {name: [] for name, _, _ in cast}
    for _ in range(options.rounds):
        for name, process, _ in cast:
            rounds[name].append(measure(process, url[name], core, options, connections, script))
    show_scenario(title, rounds)


def show_scenario(title, rounds):
    cpu = {name: statistics.median(cost for cost, _ in rows) for name, rows in rounds.items()}
    peers = [name for name in cpu if name != "portcullis"]
    best = min(peers, key=cpu.get) if peers else None
    print(f"\n{title}")
    print(f"  {'':<12}{'CPU us/request':>15}  {'lowest-highest':>16}{'requests/s':>12}")
    for name, rows in rounds.items():
        costs = [cost for cost, _ in rows]
        rate = statistics.median(rate for _, rate in rows)
        ratio = f"   {cpu[name] / cpu[best]:.2f} of {best}" if best and name != best else ""
        span = f"{min(costs):.1f}-{max(costs):.1f}"
        print(f"  {name:<12}{cpu[name]:>15.1f}  {span:>16}{rate:>12,.0f}{ratio}", flush=True)


# --- the whole -----------------------------------------------------------------------------------


def processor():
    match = re.search(r"^model name\s*:\s*(.+)$", pathlib.Path("/proc/cpuinfo").read_text(), re.M)
    return match[1].strip() if match else platform.machine()


def show_machine(rows, cores):
    where = f"contestants on core {cores[0]}, wrk and origin on core {cores[1]}" \
        if len(cores) == 2 else "one core only: nothing is pinned"
    names = [f"{name} {version}" for name, _, _, version in rows]
    names.append("wrk " + first_match(["wrk", "-v"], r"wrk (?:debian/)?(\S+)"))
    print(f"machine   {os.cpu_count()} cores, {processor()}, Linux {platform.release()}; {where}; "
          f"load before {os.getloadavg()[0]:.2f}")
    print(f"versions  {', '.join(names)}")


def bench(binary, folder, options):
    rows, missing = contestants(binary)
    for name in missing:
        print(f"{name} is not installed (apt-get install {name}): measured without it")
    cores = sorted(os.sched_getaffinity(0))[:2]
    show_machine(rows, cores)
    ours, theirs = cores if len(cores) == 2 else (None, None)

    folder.chmod(0o755)  # workers of a server started by root are another user
    certificate = make_certificate(folder)
    ports = free_ports(2 + 2 * len(rows))
    backend, sink = ports.pop(), ports.pop()
    uploads = f"site upload.test {{\n    body off\n    /* -> 127.0.0.1:{sink}\n}}\n"

    def open_server(name, template, argv, core, http_port=0, tls_port=0):
        run = folder / name
        run.mkdir()
        (run / "static").mkdir()
        fill(template, run / "conf",
             {**certificate, "RUN": run, "WORKERS": 1, "GEN": BODY, "STATIC": run / "static",
              "BACKEND": backend, "SINK": sink, "ROUTES": uploads if tls_port else "",
              "CIPHER": CIPHER, "HTTP_PORT": http_port, "TLS_PORT": tls_port})
        return start(name, argv, core, run)

    origin = open_server("origin", "origin.conf.in", [binary, "run", "-c", "conf"], theirs)
    prove(origin, backend, False)
    (folder / "sink").mkdir()
    start("sink", [sys.executable, str(HERE / "sink.py"), str(sink)], theirs, folder / "sink")
    cast = []
    for name, template, argv, _ in rows:
        pair = ports.pop(), ports.pop()
        process = open_server(name, template, argv, ours, *pair)
        prove(process, pair[0], False)
        prove(process, pair[1], True)
        cast.append((name, process, pair))

    print(f"load      {options.connections} kept-alive connections; median of {options.rounds} rounds "
          f"of {options.seconds} s, interleaved; the ratio is of CPU, less is better")
    run_scenario("plain HTTP/1.1, 1 KB proxied", 0, cast, theirs, options)
    run_scenario(f"TLS 1.3 ({CIPHER}, P-256), HTTP/1.1, 1 KB proxied", 1, cast, theirs, options)
    run_scenario("uploads of 10 MB over the same TLS, 4 connections", 1, cast, theirs, options, 4,
                 "upload.lua")


def main():
    parser = argparse.ArgumentParser(prog="run.sh", description=__doc__)
    parser.add_argument("binary", help="the portcullis to measure")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=2, help="of each round")
    parser.add_argument("--connections", type=int, default=64)
    options = parser.parse_args()
    for tool in ("wrk", "openssl"):
        if not shutil.which(tool):
            print(f"{tool} is not installed (apt-get install {tool}): nothing was measured")
            return 0
    binary = os.path.realpath(options.binary)
    if not os.access(binary, os.X_OK):
        print(f"run.sh: {options.binary} is no program; build it first", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="portcullis-bench-") as folder:
        try:
            bench(binary, pathlib.Path(folder), options)
        except Trouble as trouble:
            print(f"run.sh: {trouble}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            return 130
        finally:
            end_all()
    return 0


if __name__ == "__main__":
    sys.exit(main())
