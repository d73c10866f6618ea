"""Grafana, as far as its administrator's password goes (HTTP API "Current user"; configuration, "security")."""

import base64
import json
import os
import signal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

KEPT = Path("/var/lib/grafana/password")
USER = os.environ["GF_SECURITY_ADMIN_USER"]
WRONG = {"message": "Invalid username or password"}
# After five wrong passwords nobody is let in for five minutes, whatever they say.
MOST = 5
wrong = 0

# The password of the configuration is taken when the database is made, and never again.
if not KEPT.exists():
    KEPT.write_text(Path(os.environ["GF_SECURITY_ADMIN_PASSWORD__FILE"]).read_text().strip())


class Grafana(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/api/health":
            self.answer(200, {"database": "ok"})
        elif self.path == "/api/user":
            self.answer(*((200, {"id": 1, "login": USER}) if self.known() else (401, WRONG)))
        else:
            self.answer(404, {"message": "Not found"})

    def do_PUT(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path != "/api/user/password" or not self.known():
            self.answer(401, WRONG)
        elif body["oldPassword"] != KEPT.read_text():
            self.answer(401, {"message": "Invalid old password"})
        else:
            KEPT.write_text(body["newPassword"])
            self.answer(200, {"message": "User password changed"})

    def known(self):
        global wrong
        kind, _, pair = self.headers.get("Authorization", "").partition(" ")
        right = kind == "Basic" and base64.b64decode(pair).decode() == f"{USER}:{KEPT.read_text()}"
        wrong += not right
        return right and wrong <= MOST

    def answer(self, status, body):
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
ThreadingHTTPServer(("", 3000), Grafana).serve_forever()
