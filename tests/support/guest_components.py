"""A local HTTP server shaped like the API server of Confidential Containers' guest components: no hardware is there.

What it says of a report is written as the Rust crate `sev` writes it, in the forms before and after its version 6.
"""

import base64
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from tests.synthetic.snp import FIELDS

Evidence = Callable[[bytes], bytes]


@dataclass
class GuestComponents:
    """`evidence` answers runtime data. `knows_encoding` is false for servers that take the letters for the bytes."""

    tee: object
    evidence: Evidence
    knows_encoding: bool = True
    status: int = 200
    asked: list[str] = field(default_factory=list)

    def answer(self, target: str) -> bytes:
        self.asked.append(target)
        parts = urlsplit(target)
        if parts.path == "/info":
            return json.dumps({"version": "v0.0.0", "tee": self.tee, "additional_tees": []}).encode()
        (data,) = parse_qs(parts.query)["runtime_data"]
        if self.knows_encoding and parse_qs(parts.query)["encoding"] == ["base64"]:
            return self.evidence(base64.urlsafe_b64decode(data + "=" * (-len(data) % 4)))
        return self.evidence(data.encode())


@contextmanager
def serving(answer: Callable[[str], bytes], status: Callable[[], int] = lambda: 200, **headers: str) -> Iterator[str]:
    """The URL of a server that answers each GET so, with these further headers."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = answer(self.path)
            self.send_response(status())
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def report_json(report: bytes, *, old: bool = False) -> dict[str, object]:
    """A report of 1184 bytes as the crate's JSON; `old` as before version 6, with the reserved fields."""
    names = ("family_id", "image_id", "report_data", "measurement", "host_data", "id_key_digest", "author_key_digest")
    made: dict[str, object] = {name: list(_field(report, name)) for name in (*names, "report_id", "report_id_ma")}
    made |= {name: _number(report, name) for name in ("version", "guest_svn", "policy", "vmpl")}
    made |= {"sig_algo": _number(report, "signature_algo"), "plat_info": _number(report, "platform_info")}
    made["chip_id"] = list(_field(report, "chip_id"))
    for name in ("current_tcb", "reported_tcb", "committed_tcb", "launch_tcb"):
        made[name] = _tcb(_field(report, name), turin=report[0x188] >= 0x1A, old=old)
    made |= _old(report) if old else _new(report)
    made["signature"] = {"r": list(_field(report, "r")), "s": list(_field(report, "s"))}
    return made


def _new(report: bytes) -> dict[str, object]:
    version = report[0]
    cpuid = {"cpuid_fam_id": 0x188, "cpuid_mod_id": 0x189, "cpuid_step": 0x18A}
    made: dict[str, object] = {name: report[at] if version >= 3 else None for name, at in cpuid.items()}
    for name in ("launch_mit_vector", "current_mit_vector"):
        made[name] = _number(report, name) if version >= 5 else None
    for name, at in (("current", 0x1E8), ("committed", 0x1EC)):
        made[name] = {"major": report[at + 2], "minor": report[at + 1], "build": report[at]}
    return made | {"key_info": _number(report, "flags")}


def _old(report: bytes) -> dict[str, object]:
    made: dict[str, object] = {"_author_key_en": _number(report, "flags"), "_reserved_0": 0}
    made |= {"_reserved_1": list(report[0x188:0x1A0]), "_reserved_4": list(report[0x1F8:0x2A0])}
    for name, at in (("current", 0x1E8), ("committed", 0x1EC)):
        made |= {f"{name}_build": report[at], f"{name}_minor": report[at + 1], f"{name}_major": report[at + 2]}
    return made


def _tcb(tcb: bytes, *, turin: bool, old: bool) -> dict[str, object]:
    if old:
        names: dict[str, object] = {"bootloader": tcb[0], "tee": tcb[1], "_reserved": list(tcb[2:6])}
        return names | {"snp": tcb[6], "microcode": tcb[7]}
    if turin:
        return {"fmc": tcb[0], "bootloader": tcb[1], "tee": tcb[2], "snp": tcb[3], "microcode": tcb[7]}
    return {"fmc": None, "bootloader": tcb[0], "tee": tcb[1], "snp": tcb[6], "microcode": tcb[7]}


def _field(report: bytes, name: str) -> bytes:
    at, length = FIELDS[name]
    return report[at : at + length]


def _number(report: bytes, name: str) -> int:
    return int.from_bytes(_field(report, name), "little")
