#!/usr/bin/env python3
"""Which modules of src/ have seen memory fail: tools/alloc_walks.py BUILD

The unit tests of a build with debug information have written every failed allocation, with the calls that
led to it, into BUILD/alloc-sites (tests/unit/alloc_fail.h). A module asks for memory when its text names
one of the functions below; it has been walked when it stood in such a list of calls. Exit status 1 when
one that asks for memory was not walked and is not listed here."""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
FLOORS = ["base", "net", "tls", "http", "upstream", "observe", "files", "proxy", "config", "app"]
ASKS = re.compile(r"\b(?:m|c|re|aligned_)alloc\(|\b(?:arena_(?:new|alloc|array|defer)|ARENA_NEW|pages_take|"
                  r"mmap|strn?dup|v?asprintf|str_(?:dup|to_z|lower|printf)|text_in|map_put|buf_(?:add|room)\w*|"
                  r"compile_(?:grow|dup|alloc)|diag_(?:error|warning|notice|hint))\(")
COMMENT = re.compile(r"/\*.*?\*/", re.S)
# Not reached by a walk of a unit test so far; a name that has been walked after all is to be taken out.
NOT_YET = set("""
config/compile_settings config/compile_tls_dir app/cert_commands app/commands app/config_commands
app/control app/explain_command app/instance app/issue_ca app/live_commands
app/load app/loader app/log_search app/machine app/metrics_desk
app/origin_metrics app/origin_status app/prescan app/process_facts app/record_text
app/sandbox_roots app/serve_commands app/state_dir app/supervisor app/why_command
app/worker app/worker_explain app/worker_metrics app/worker_thread app/worker_why
""".split())


def walked(folder, build):
    found = set()
    for path in sorted(folder.iterdir()):
        addresses = sorted(set(path.read_text().split()))
        # The call, not what is returned to.
        wanted = "\n".join(f"{int(a, 16) - 1:x}" for a in addresses)
        told = subprocess.run(["addr2line", "-i", "-e", str(build / path.name)], input=wanted,
                              capture_output=True, text=True, check=True).stdout
        for hit in re.findall(r"src/(\w+/\w+)\.[ch]:", told):
            found.add(hit)
    return found


def main():
    build = pathlib.Path(sys.argv[1])
    seen = walked(build / "alloc-sites", build)
    missing, asking, silent = [], 0, []
    for floor in FLOORS:
        for path in sorted((ROOT / "src" / floor).glob("*.c")):
            module = f"{floor}/{path.stem}"
            if not ASKS.search(COMMENT.sub("", path.read_text())):
                silent.append(module)
                continue
            asking += 1
            if module in seen:
                print(f"walked   {module}")
                if module in NOT_YET:
                    print(f"STALE    {module}: walked, and listed as not yet")
                    missing.append(module)
            elif module in NOT_YET:
                print(f"not yet  {module}")
            else:
                missing.append(module)
    print(f"never ask for memory: {', '.join(silent)}")
    for module in missing:
        print(f"MISSING  {module}")
    print(f"alloc_walks: {asking} modules ask for memory, {asking - len(NOT_YET) - len(missing)} saw it fail, "
          f"{len(NOT_YET)} not yet; {len(silent)} never ask")
    return 1 if missing else 0


sys.exit(main())
