"""Control's OpenAPI document, held against the answers of a real group, and every wrong request."""

import contextlib
import json
import re
import socket
import unittest

import group_case
import harness
import schema
from group_case import content

ARTICLE = harness.ROOT / "tests/compat/article-dataset-runtime.yaml"
PLAIN = """apiVersion: data.fluid.io/v1alpha1
kind: Dataset
metadata: {name: applied, surprise: x}
spec:
  mounts: [{mountPoint: "file://%s"}]
"""


class Raw:
    """An answer: its status, type and body."""

    def __init__(self, api, method, target, body=None):
        connection = harness.UnixConnection(api.path)
        with contextlib.closing(connection):
            connection.connect()
            connection.sock.settimeout(70)
            with contextlib.suppress(BrokenPipeError):  # Refused before all of it was sent.
                connection.request(method, target, body)
            answer = connection.getresponse()
            self.status = answer.status
            self.type = (answer.getheader("Content-Type") or "").split(";")[0]
            self.length = answer.getheader("Content-Length")
            self.allow = answer.getheader("Allow")
            self.body = answer.read()

    def json(self):
        return json.loads(self.body)


class OpenApi(group_case.GroupTest):
    def raw(self, method, target, body=None):
        text = json.dumps(body) if isinstance(body, (dict, list)) else body
        return Raw(self.api, method, target, text)

    def start(self):
        """A group in which every list of the answers has entries."""
        self.root = self.old_tree({f"d{i}/f": content(300_000, i) for i in range(3)})
        self.up(2)
        self.document = self.api.get("/openapi.json")[1]
        self.create("prices", self.root, "--block-size", "64KiB")
        self.ok("load", "prices")
        self.ok("cat", "forebay://prices/d0/f")
        self.ok("apply", "-f", ARTICLE)
        self.forebay("load", "metabit-juice-research", "--timeout", "1s")

    def fits(self, method, path, answer, status=None):
        """The answer is as the document says for its path and status."""
        if status is not None:
            self.assertEqual(answer.status, status, f"{method} {path}: {answer.body[:300]}")
        responses = self.document["paths"][path][method.lower()]["responses"]
        said = responses.get(str(answer.status), responses["default"])["content"]
        self.assertIn(answer.type, said, f"{method} {path}: {answer.status}")
        if "json" in answer.type:
            found = schema.problems(answer.json(), said[answer.type]["schema"], self.document)
            self.assertEqual(found, [], f"{method} {path}: {answer.status}")
        self.seen.add((method, path))
        return answer

    def rows(self):
        """(method, path of the document, target, body, status): every operation."""
        self.ok("evict", "prices")
        load = self.raw("POST", "/v1/loads", {"dataset": "prices", "throttle": 1000}).json()["id"]
        mounts = [{"url": f"file://{self.root}", "options": {}}]
        one = {"name": "one", "mounts": mounts, "staleness": "pinned", "blockSize": "64KiB"}
        name = "/v1/datasets/{NAME}"
        documents = {"documents": PLAIN % self.root, "source": "a.yaml"}
        return [
            ("GET", "/healthz", "/healthz", None, 200), ("GET", "/readyz", "/readyz", None, 200),
            ("GET", "/metrics", "/metrics", None, 200),
            ("GET", "/openapi.json", "/openapi.json", None, 200),
            ("GET", "/v1/status", "/v1/status", None, 200),
            ("GET", "/v1/status", "/v1/status?namespace=default&dataset=prices", None, 200),
            ("GET", "/v1/workers", "/v1/workers", None, 200),
            ("GET", "/v1/events", "/v1/events?since=1", None, 200),
            ("GET", "/v1/datasets", "/v1/datasets", None, 200),
            ("POST", "/v1/datasets", "/v1/datasets", one, 201),
            ("POST", "/v1/datasets", "/v1/datasets", one, 200),
            ("GET", name, "/v1/datasets/prices?namespace=default", None, 200),
            ("GET", name, "/v1/datasets/metabit-juice-research", None, 200),
            ("POST", name + "/refresh", "/v1/datasets/one/refresh", {}, 200),
            ("GET", name + "/wait", "/v1/datasets/prices/wait?cached=95%25&timeout=20s", None, 200),
            ("GET", name + "/wait", "/v1/datasets/one/wait?cached=1&timeout=0s", None, 200),
            ("POST", name + "/verify", "/v1/datasets/prices/verify", {}, 200),
            ("POST", name + "/evict", "/v1/datasets/prices/evict", {"paths": ["d0"]}, 200),
            ("DELETE", name, "/v1/datasets/one", None, 200),
            ("GET", "/v1/loads", "/v1/loads", None, 200),
            ("POST", "/v1/loads", "/v1/loads", {"dataset": "prices", "paths": ["/d0"]}, 201),
            ("GET", "/v1/loads/{ID}", f"/v1/loads/{load}", None, 200),
            ("POST", "/v1/loads/{ID}/pause", f"/v1/loads/{load}/pause", {}, 200),
            ("POST", "/v1/loads/{ID}/resume", f"/v1/loads/{load}/resume", {}, 200),
            ("POST", "/v1/loads/{ID}/cancel", f"/v1/loads/{load}/cancel", {}, 200),
            ("POST", "/v1/loads/{ID}/resume", f"/v1/loads/{load}/resume", {}, 409),
            ("POST", "/v1/apply", "/v1/apply", documents, 200),
            ("POST", "/v1/apply", "/v1/apply", {"documents": "kind: ["}, 400),
            ("POST", "/v1/delete", "/v1/delete", documents, 200),
            ("GET", name, "/v1/datasets/none", None, 404),
            ("GET", name + "/wait", "/v1/datasets/prices/wait", None, 400),
            ("GET", "/v1/events", "/v1/events?since=x", None, 400)]

    def test_every_answer_is_as_the_document_says(self):
        self.start()
        self.seen = set()
        for method, path, target, body, status in self.rows():
            with self.subTest(method=method, target=target):
                self.fits(method, path, self.raw(method, target, body), status)
        named = {(method.upper(), path) for path, methods in self.document["paths"].items()
                 for method in methods if method != "parameters"}
        self.assertEqual(named - self.seen, set(), "operations that no row asks for")

    def test_the_document_names_every_path_that_is_routed(self):
        """As the table of routes has them; /internal/ is between our own processes."""
        text = (harness.ROOT / "src/control/api_routes.cc").read_text()
        routed = {route for route in re.findall(r'\{"([A-Z]+)", "(/[^"]*)"', text)
                  if not route[1].startswith("/internal/")}
        self.assertGreater(len(routed), 10)
        document = json.loads((harness.ROOT / "src/control/openapi.json").read_text())
        named = {(method.upper(), path) for path, methods in document["paths"].items()
                 for method in methods if method != "parameters"}
        self.assertEqual(routed, named)

    def problem(self, method, target, body, status):
        with self.subTest(method=method, target=target[:60]):
            answer = self.raw(method, target, body)
            self.assertEqual(answer.status, status, answer.body[:300])
            self.assertEqual(answer.type, "application/problem+json")
            found = schema.problems(answer.json(), {"$ref": "#/components/schemas/Problem"},
                                    self.document)
            self.assertEqual(found, [])
            self.assertEqual(answer.json()["status"], status)
            self.assertNotEqual(answer.json()["detail"], "")
            return answer

    def test_every_wrong_request_is_answered_with_a_problem(self):
        root = self.old_tree({"a": b"x"})
        self.up(1)
        self.document = self.api.get("/openapi.json")[1]
        self.create("prices", root)
        for target in ("/", "/nothing", "/v1", "/v2/status", "/v1/nothing", "/v1/status/more",
                       "/v1/datasets/prices/nothing", "/v1/datasets/prices/wait/more",
                       "/v1/loads/x", "/internal/v1/nothing", "/%00",
                       "/v1/datasets/%ff", "/v1/loads/" + "x" * 999,
                       "/../../etc/passwd", "/v1/datasets/pri%2Fces"):
            self.problem("GET", target, None, 404)
        for method, target, allowed in (
                ("DELETE", "/v1/status", "GET, HEAD"), ("POST", "/healthz", "GET, HEAD"),
                ("PUT", "/v1/datasets", "GET, HEAD, POST"), ("GET", "/v1/apply", "POST"),
                ("PUT", "/v1/datasets/prices", "DELETE, GET, HEAD"),
                ("POST", "/v1/datasets/prices/wait", "GET, HEAD"),
                ("GET", "/v1/datasets/prices/evict", "POST"),
                ("PATCH", "/v1/loads", "GET, HEAD, POST"),
                ("GET", "/v1/loads/x/pause", "POST"), ("OPTIONS", "/metrics", "GET, HEAD"),
                ("DELETE", "/v1/loads/x", "GET, HEAD")):
            answer = self.problem(method, target, "{}" if method != "GET" else None, 405)
            self.assertEqual(answer.allow, allowed)
        for target in ("/v1/datasets", "/v1/loads", "/v1/apply", "/v1/delete",
                       "/v1/datasets/prices/evict", "/v1/datasets/prices/verify"):
            for body in ("[", "[]", "null", '"x"', b"\xff\xfe", "[" * 100_000):
                self.problem("POST", target, body, 400)
        self.problem("POST", "/v1/apply", b"x" * (20 << 20), 413)
        self.problem("POST", "/v1/loads", {"dataset": "none"}, 404)
        self.problem("POST", "/v1/loads", {"dataset": "prices", "replicas": 0}, 400)
        self.assertEqual([d["name"] for d in self.status()["datasets"]], ["prices"])

    def test_head_is_get_without_the_body(self):
        root = self.old_tree({"a": b"x"})
        self.up(1)
        self.create("prices", root)
        for target in ("/healthz", "/openapi.json", "/v1/status", "/v1/datasets", "/v1/loads",
                       "/v1/datasets/prices", "/v1/workers", "/v1/events"):
            head = self.raw("HEAD", target)
            get = self.raw("GET", target)
            self.assertEqual((head.status, head.type, head.body), (200, get.type, b""), target)
            self.assertGreater(int(head.length), 0)
        self.assertEqual(self.raw("HEAD", "/v1/datasets/none").status, 404)

    def test_names_may_be_percent_encoded(self):
        root = self.old_tree({"a b/ü%2F": b"x" * 500, "c": b"y"})
        self.up(1)
        self.create("prices", root)
        self.ok("load", "prices")
        self.assertEqual(self.raw("GET", "/v1/datasets/pric%65s").json()["name"], "prices")
        target = "/v1/datasets/prices/wait?cached=1&timeout=9s&path=/a%20b/%C3%BC%252F"
        self.assertTrue(self.raw("GET", target).json()["reached"])
        self.ok("evict", "prices", "/a b")
        self.assertEqual(self.raw("GET", target.replace("9s", "0s")).json()["cachedRatio"], 0)

    def test_what_is_not_http_harms_nobody(self):
        self.up(1)
        for text in (b"", b"\0" * 5000, b"GET\r\n\r\n",
                     b"POST /v1/loads HTTP/1.1\r\nContent-Length: "
                     b"99999999999999999999\r\n\r\n",
                     b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\n\r\n",
                     b"POST /v1/loads HTTP/1.1\r\nContent-Length: 10\r\n\r\nx"):
            with socket.socket(socket.AF_UNIX) as link:
                link.connect(str(self.api.path))
                link.settimeout(10)
                with contextlib.suppress(OSError):
                    link.sendall(text)
                    link.shutdown(socket.SHUT_WR)
                    while link.recv(65536):
                        pass
        self.assertEqual(self.api.get("/healthz"), (200, "ok\n"))


if __name__ == "__main__":
    unittest.main()
