#!/usr/bin/env python3
"""Fills many address books of one user through davbench, then measures some of them.

usage: scale.py --url http://127.0.0.1:PORT --user U --password P --pid PID --data PATH[,PATH]
                [--home /dav/addressbooks/U/] [--books 1000] [--contacts 1000] [--conns 8]
                [--measure 5] [--rounds 20] [--secs 5] [--photo-every 0] [--have 0]
                [--davbench PATH]

Prints JSON lines: `scale-fill` every hundredth book, then for each measured book davbench's
`noop-poll`, `delta-sync` and `query`, then `scale-total` with memory and bytes on disk, altogether
and for each contact. `--have N` says that the first N books are filled already.
"""
import argparse
import json
import pathlib
import subprocess
import sys
import time


def parse():
    here = pathlib.Path(__file__).resolve().parent
    p = argparse.ArgumentParser(usage=__doc__.split("\n\n")[1].removeprefix("usage: "))
    p.add_argument("--url", required=True)
    p.add_argument("--user", required=True)
    p.add_argument("--password", required=True)
    p.add_argument("--pid", required=True)
    p.add_argument("--data", required=True)
    p.add_argument("--home")
    p.add_argument("--name", default="scale")
    p.add_argument("--books", type=int, default=1000)
    p.add_argument("--contacts", type=int, default=1000)
    p.add_argument("--conns", type=int, default=8)
    p.add_argument("--measure", type=int, default=5)
    p.add_argument("--rounds", type=int, default=20)
    p.add_argument("--secs", type=float, default=5)
    p.add_argument("--photo-every", type=int, default=0)
    p.add_argument("--have", type=int, default=0)
    p.add_argument("--davbench", default=here / "davbench/target/release/davbench")
    return p.parse_args()


def davbench(o, book, *options):
    """Runs davbench on a book; its lines. A book's contacts are its own."""
    home = o.home or f"/dav/addressbooks/{o.user}/"
    command = [o.davbench, "--url", o.url, "--user", o.user, "--password", o.password, "--name", o.name,
               "--pid", o.pid, "--data", o.data, "--book", f"{home}b{book:04}/", "--seed", str(1000 + book),
               "--n", str(o.contacts), "--photo-every", str(o.photo_every), *map(str, options)]
    out = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    lines = [json.loads(line) for line in out.splitlines()]
    for line in lines:
        if line["errors"] or line.get("wanted", line["contacts"]) != line["contacts"]:
            sys.exit(f"scale.py: book {book}: {json.dumps(line)}")
    return lines


def fill(o):
    """Fills the books; what the last one's line says of the server."""
    began, since, puts, line = time.monotonic(), time.monotonic(), 0, None
    for book in range(o.have, o.books):
        [line] = davbench(o, book, "--workloads", "put", "--conns", o.conns)
        puts += line["requests"]
        if (book + 1) % 100 == 0 or book + 1 == o.books:
            now = time.monotonic()
            print(json.dumps({
                "name": o.name, "workload": "scale-fill", "books": book + 1,
                "contacts": (book + 1) * o.contacts, "secs": round(now - began, 1),
                "rps": round(puts / (now - since)), "server_rss_mb": line["server_rss_mb"],
                "disk_bytes": line["disk_bytes"]}), flush=True)
            since, puts = now, 0


def main():
    o = parse()
    fill(o)
    contacts, line = o.books * o.contacts, None
    for step in range(o.measure):
        # Spread over all of them.
        book = step * o.books // max(o.measure, 1)
        for line in davbench(o, book, "--no-mkcol", "--conns", 1, "--secs", o.secs, "--rounds", o.rounds,
                             "--workloads", "noop-poll,delta-sync,query"):
            print(json.dumps({**line, "books": o.books, "all_contacts": contacts}), flush=True)
    if line:
        print(json.dumps({
            "name": o.name, "workload": "scale-total", "books": o.books, "contacts": contacts,
            "server_rss_mb": line["server_rss_mb"], "server_pss_mb": line["server_pss_mb"],
            "disk_bytes": line["disk_bytes"],
            "memory_bytes_per_contact": round(line["server_rss_mb"] * 2**20 / contacts),
            "disk_bytes_per_contact": round(line["disk_bytes"] / contacts)}))


main()
