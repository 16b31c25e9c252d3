"""The notice board: pages, a login with a cookie, and a form."""

import http.server
import pathlib
import urllib.parse

HERE = pathlib.Path(__file__).parent
COOKIE = "board=open"
DAYS = {"bread": "Monday", "knots": "Thursday", "maps": "Friday"}


class Board(http.server.BaseHTTPRequestHandler):
    def page(self, title, body, status=200, **headers):
        text = f"<html><head><title>{title}</title></head><body><h1>{title}</h1>{body}</body></html>".encode()
        self.send_response(status)
        for name, value in {"Content-Type": "text/html", "Content-Length": len(text), **headers}.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        self.wfile.write(text)

    def elsewhere(self, to, **headers):
        self.page("Elsewhere", "", 303, Location=to, **headers)

    def form(self):
        length = int(self.headers.get("Content-Length") or 0)
        return dict(urllib.parse.parse_qsl(self.rfile.read(length).decode()))

    def do_GET(self):
        path = urllib.parse.urlsplit(self.path).path
        if path == "/":
            filler = "".join(f"<p>Notice {number}: nothing new.</p>" for number in range(90))
            self.page("Notice board", f"<p>See the <a href='/workshops'>workshops</a>.</p>{filler}<p>The end.</p>")
        elif COOKIE not in (self.headers.get("Cookie") or ""):
            self.page("Login", "<form method=post action=/login>Password: <input type=password name=password><button>Enter</button></form>")
        elif path == "/workshops":
            rows = "".join(f"<tr><td><a href='/workshops/{name}'>{name}</a><td>{day}</tr>" for name, day in DAYS.items())
            self.page("Workshops", f"<table><tr><th>workshop<th>day</tr>{rows}</table>")
        elif path.startswith("/workshops/"):
            name = path.rsplit("/", 1)[1]
            self.page(name, f"<form method=post action=/sign><input type=hidden name=workshop value={name}>"
                      "<input name=person><select name=meal><option value=any>Any<option value=vegetarian>Vegetarian</select>"
                      "<input type=submit value='Sign up'></form>")
        else:
            self.page("Not here", "<p>There is no such page.</p>", 404)

    def do_POST(self):
        form = self.form()
        if self.path == "/login":
            right = form.get("password") == (HERE / "password.txt").read_text().strip()
            self.elsewhere("/workshops", Set_Cookie=f"{COOKIE}; Path=/") if right else self.page("Wrong password", "", 403)
        elif COOKIE in (self.headers.get("Cookie") or ""):
            with open(HERE / "registrations.txt", "a") as file:
                file.write(f"{form['person']} {form['workshop']} {form['meal']}\n")
            self.page("Signed up", f"<p>{form['person']} is expected on {DAYS[form['workshop']]}.</p>")
        else:
            self.elsewhere("/")

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 8080), Board)
(HERE / "board.ready").write_text("ready\n")
server.serve_forever()
