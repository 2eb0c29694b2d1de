"""No request is lost: reloads, crashes of our own processes, stops, under a load that counts each request."""
import contextlib
import json
import os
import signal
import socket
import ssl
import time

import pytest

from conftest import SANITIZED, cli, free_port, wait_for
from load import SECONDS, Load, nothing_lost, nothing_twice, settle, tell

CONF = """workers {workers}
listen http://127.0.0.1:@HTTP@ https://127.0.0.1:@HTTPS@{listen}
tls {cert} {key}
http serve
drain 20s
{front}
site localhost {{
 /* -> {origins} {{
 {route}
 }}
}}
{sites}"""


def conf(certs, origins, workers=2, listen="", cert=None, front="", route="", sites=""):
    return CONF.format(workers=workers, listen=listen, cert=cert or certs.cert("localhost"),
                       key=certs.key("localhost"), front=front, route=route, sites=sites,
                       origins=" ".join(f"127.0.0.1:{o.port}" for o in origins))


# --- reload ---------------------------------------------------------------------------------


def test_twenty_reloads_lose_nothing_and_drop_no_connection(portcullis, certs, processes):
    a, b = processes(2)
    p = portcullis(conf(certs, [a]))
    worker = p.worker_pid()
    with Load(p, certs.ca) as load:
        for n in range(20):
            done = p.reload(conf(certs, [a, b] if n % 2 else [b], front=f"header response set X-N {n}"))
            assert done.returncode == 0, done.stderr
        settle(load)
    nothing_lost(load, processes.record)
    assert load.stale == 0 and p.worker_pid() == worker
    tell("20 reloads that change the pool of origins", **load.figure())


def test_reloads_that_add_and_remove_listeners_and_sites(portcullis, certs, processes):
    (a,) = processes()
    p = portcullis(conf(certs, [a]))
    extra = [free_port(), free_port()]
    with Load(p, certs.ca) as load:
        for n in range(20):
            listen = f" http://127.0.0.1:{extra[n % 2]}" if n % 3 else ""
            sites = "".join(f'site s{i}.test -> respond 200 "{n}"\n' for i in range(n % 5))
            done = p.reload(conf(certs, [a], listen=listen, sites=sites))
            assert done.returncode == 0, done.stderr
        settle(load)
    nothing_lost(load, processes.record)
    assert load.stale == 0
    tell("20 reloads that add and remove listeners and sites", **load.figure())


def test_reloads_with_a_broken_file_are_refused(portcullis, certs, processes):
    (a,) = processes()
    good = conf(certs, [a])
    p = portcullis(good)
    with Load(p, certs.ca) as load:
        for n in range(10):
            assert p.reload(good + "balanse 3\n").returncode == 1
            assert p.reload(good + f"site x{n}.test -> files {p.dir}/absent\n").returncode == 1
        settle(load)
    nothing_lost(load, processes.record)
    assert load.stale == 0 and p.status()["generation"] == 1
    tell("20 reloads with a broken file", **load.figure())


def test_reloads_that_change_the_number_of_threads(portcullis, certs, processes):
    """Each takes a fresh worker; the old one ends what is open."""
    (a,) = processes()
    p = portcullis(conf(certs, [a]))
    with Load(p, certs.ca) as load:
        for n in range(6):
            done = p.reload(conf(certs, [a], workers=(1, 3, 2)[n % 3]))
            assert done.returncode == 0, done.stderr
            settle(load, seconds=0.2)
        settle(load)
    nothing_lost(load, processes.record)
    tell("6 reloads that change `workers`", **load.figure())


def test_a_replaced_certificate_is_served_and_drops_nothing(portcullis, certs, processes, folder):
    (a,) = processes()
    cert, key = folder / "tls.pem", folder / "tls.key"

    def put(name):
        for path, content in ((key, certs.key(name)), (cert, certs.cert(name))):
            new = path.with_suffix(".new")
            new.write_bytes(content.read_bytes())
            new.chmod(0o600)
            new.rename(path)

    def serial(p):
        with p.connect_tls(ca=certs.ca) as client:
            return client.sock.getpeercert()["serialNumber"]

    certs.make("second", ["localhost", "127.0.0.1"])
    certs.make("third", ["localhost", "127.0.0.1"])
    put("localhost")
    text = conf(certs, [a]).replace(str(certs.cert("localhost")), str(cert)).replace(
        str(certs.key("localhost")), str(key))
    p = portcullis(text)
    seen = [serial(p)]
    with Load(p, certs.ca) as load:
        for name in ("second", "third"):
            put(name)
            assert p.reload().returncode == 0
            seen.append(serial(p))
        put("localhost")  # noticed by the watch
        wait_for(lambda: serial(p) == seen[0], "the first certificate again")
        settle(load)
    nothing_lost(load, processes.record)
    assert len(set(seen)) == 3 and load.stale == 0
    tell("3 certificates replaced", **load.figure())


# --- crashes --------------------------------------------------------------------------------


def test_a_killed_worker_loses_only_what_was_in_flight_on_it(portcullis, certs, processes):
    (a,) = processes()
    p = portcullis(conf(certs, [a]))
    worker = p.worker_pid()
    with Load(p, certs.ca) as load:
        settle(load)
        killed = time.monotonic()
        os.kill(worker, signal.SIGKILL)
        settle(load)
    # On it: what was sent before the kill and not answered, one request of each of ten clients. A
    # client may also meet the dead connection a moment later: GETs are repeated, a POST cannot be.
    late = [why for at, why in load.lost if at > killed + 0.02]
    assert not late, late
    assert len(load.lost) <= 10 and not load.statuses, load.lost_text()
    back = min(answered for sent, answered in load.answered_at if sent > killed) - killed
    nothing_twice(processes.record)
    assert back < (5.0 if SANITIZED else 0.1), f"the first answer came after {back:.3f} s"
    assert p.worker_pid() != worker
    tell("worker killed", back_ms=round(back * 1000, 1), **load.figure())


def test_a_killed_loader_refuses_the_reload_and_loses_nothing(portcullis, certs, processes):
    (a,) = processes()
    # So many sites that the loader can be met alive.
    many = "".join(f"site h{n}.test -> 127.0.0.1:{a.port}\n" for n in range(3000))
    p = portcullis(conf(certs, [a]))
    hit = 0
    with Load(p, certs.ca) as load:
        for _ in range(5):
            p.write(conf(certs, [a], sites=many))
            p.signal(signal.SIGHUP)
            with contextlib.suppress(AssertionError):
                loader = wait_for(lambda: other_children(p), "the loader", timeout=2, every=0.001)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(loader[0], signal.SIGKILL)
                    hit += 1
            wait_for(lambda: not other_children(p), "its end")
        p.write(conf(certs, [a]))
        assert p.control("reload").returncode == 0
        settle(load)
    nothing_lost(load, processes.record)
    assert hit and load.stale == 0
    tell("loader killed", times=hit, **load.figure())


def other_children(p):
    """What the supervisor has started besides the worker."""
    with open(f"/proc/{p.pid}/task/{p.pid}/children", encoding="ascii") as file:
        children = [int(pid) for pid in file.read().split()]
    return children[1:]


# --- stop, start ----------------------------------------------------------------------------


def test_a_graceful_stop_under_load_resets_no_answer(portcullis, certs, processes):
    (a,) = processes()
    p = portcullis(conf(certs, [a]))
    with Load(p, certs.ca, fresh=8, pause=0.0005) as load:
        settle(load, SECONDS / 2)
        p.signal(signal.SIGTERM)
        assert p.process.wait(30) == 0
        ended = time.monotonic()
        load.over.set()
    # Whoever comes when the ports are closed is refused, which is no lost request.
    refused = [why for _, why in load.lost if "ConnectionRefused" in why]
    other = [why for _, why in load.lost if "ConnectionRefused" not in why]
    assert not other, other
    assert not load.statuses
    done = sum(answered <= ended for _, answered in load.answered_at)
    tell("graceful stop", answered=done, refused_afterwards=len(refused), **{**load.figure(), "lost": len(other)})


def test_a_second_instance_refuses_and_harms_nothing(portcullis, certs, processes):
    (a,) = processes()
    p = portcullis(conf(certs, [a]))
    with Load(p, certs.ca) as load:
        for _ in range(5):
            done = cli("run", "-c", p.conf)
            assert done.returncode == 1
            assert f"is held by {p.held_by()}" in done.stderr
        settle(load)
    nothing_lost(load, processes.record)
    assert load.stale == 0
    assert p.status()["pid"] == p.pid  # the control socket is still its own
    tell("5 starts of a second instance", **load.figure())
