"""A ClickHouse server for tests: the HTTP protocol over the embedded engine.

No current server can be installed on a bare machine, so this speaks just enough of the protocol for the real client.
Run as a script with a directory; prints its port. Bodies arrive as one LZ4 frame a block: all of them are decoded.
"""

import json
import re
import sys
import tempfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import chdb
import lz4.frame

# What the protocol itself takes; every other parameter of a request is a setting of the query.
TRANSPORT = {
    "query", "database", "session_id", "query_id", "default_format", "compress", "decompress", "wait_end_of_query",
    "client_protocol_version", "enable_http_compression", "send_progress_in_http_headers", "session_timeout",
    "http_headers_progress_interval_ms", "cancel_http_readonly_queries_on_client_close",
}  # fmt: skip
FORMAT = re.compile(rb"\bFORMAT\s+(\w+)\s*;?\s*$", re.IGNORECASE)
INSERT = re.compile(rb"\s*(INSERT\s+INTO\s.*?)\sFORMAT\s+(\w+)\s*\n?", re.IGNORECASE | re.DOTALL)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    engine: Any
    lock = Lock()

    def do_GET(self) -> None:
        if urlsplit(self.path).path == "/ping":
            self.answer(200, b"Ok.\n")
        else:
            self.do_POST()

    def do_POST(self) -> None:
        values = dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
        body = self.read_body()
        try:
            with self.lock:
                self.answer(200, self.run(values, body))
        except RuntimeError as error:
            code = re.search(r"Code: (\d+)", str(error))
            self.answer(500, str(error).encode(), {"X-ClickHouse-Exception-Code": code[1] if code else "1000"})

    def read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            body = b"".join(parts)
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Content-Encoding") != "lz4":
            return body
        plain = b""
        while body:
            frame = lz4.frame.LZ4FrameDecompressor()
            plain += frame.decompress(body)
            body = frame.unused_data or b""
        return plain

    def run(self, values: dict[str, str], body: bytes) -> bytes:
        text = values.get("query", "").encode()
        text = text + b"\n" + body if text else body
        settings = {k: v for k, v in values.items() if k not in TRANSPORT and not k.startswith("param_")}
        for name, value in settings.items():
            self.engine.query(f"SET {name} = {json.dumps(value).replace(chr(34), chr(39))}", "TabSeparated")
        try:
            return self.statement(
                text, {k.removeprefix("param_"): v for k, v in values.items() if k.startswith("param_")}
            )
        finally:
            for name in settings:
                self.engine.query(f"SET {name} = DEFAULT", "TabSeparated")

    def statement(self, text: bytes, params: dict[str, str]) -> bytes:
        if insert := INSERT.match(text):
            with tempfile.NamedTemporaryFile() as file:
                file.write(text[insert.end() :])
                file.flush()
                sql = f"{insert[1].decode()} FROM INFILE '{file.name}' FORMAT {insert[2].decode()}"
                self.engine.query(sql, "TabSeparated")
            return b""
        wanted = FORMAT.search(text)
        result = self.engine.query(text.decode(), wanted[1].decode() if wanted else "TabSeparated", params=params)
        return result.bytes() or b""

    def answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet: the port is the only line on standard output."""


if __name__ == "__main__":
    Handler.engine = chdb.connect(str(Path(sys.argv[1])))
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_port, flush=True)
    server.serve_forever()
