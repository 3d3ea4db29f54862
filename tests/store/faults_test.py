"""Every lie and failure of a store: never a success with wrong bytes, nothing delivered twice."""

import time
import unittest

from fault_proxy import Fault, FaultProxy
from store_servers import Moto, Versitygw, names, probe, read, running

BODY = bytes(i * 7 % 251 for i in range(300_000))
XML_ERROR = "<Error><Code>{}</Code><Message>said so</Message></Error>"

# What a ranged GET may meet: the fault, and the codes with which the read may end if it does not
# stop. None of them may be "OK".
READ_FAULTS = [
    (Fault("status", status=503), {"Unavailable"}),
    (Fault("status", status=500), {"Unavailable"}),
    (Fault("status", status=429), {"Unavailable"}),
    (Fault("refuse"), {"Unavailable"}),
    (Fault("reset", bytes=0), {"Unavailable"}),
    (Fault("short", bytes=0), {"Unavailable"}),
    (Fault("wrong_range"), {"Unavailable"}),
    (Fault("wrong_range", shift=-1), {"Unavailable"}),
    (Fault("wrong_range", shift=50_000), {"Unavailable"}),
    (Fault("wrong_bytes_range"), {"Unavailable"}),
    (Fault("wrong_bytes_range", shift=-1), {"Unavailable"}),
    (Fault("ignore_range"), {"Unavailable"}),
    (Fault("etag", text='"another"'), {"Changed"}),
    (Fault("etag", text=""), {"Changed"}),
    (Fault("drop_header", text="content-range"), {"Unavailable"}),
    (Fault("content_length", shift=1), {"Unavailable"}),
    (Fault("content_length", shift=-1), {"Unavailable"}),
    (Fault("html"), {"Unavailable", "Changed"}),
    (Fault("html", status=404), {"Unavailable"}),
    (Fault("endless"), {"Unavailable"}),
    (Fault("long", bytes=1), {"Unavailable"}),
    (Fault("bomb"), {"Unavailable", "Changed"}),
    (Fault("status", status=302, body="moved"), {"InvalidArgument"}),
    (Fault("status", status=599), {"Unavailable"}),
]

LIST_FAULTS = [
    (Fault("status", status=503), {"Unavailable"}),
    (Fault("refuse"), {"Unavailable"}),
    (Fault("reset", bytes=100), {"Unavailable"}),
    (Fault("short", bytes=100), {"Unavailable"}),
    (Fault("html"), {"Unavailable"}),
    (Fault("html", status=404), {"Unavailable"}),
    (Fault("endless"), {"Unavailable"}),
    (Fault("bomb"), {"Unavailable"}),
    (Fault("body", body="<ListBucketResult>"), {"Unavailable"}),
    (Fault("body", body=""), {"Unavailable"}),
    (Fault("body", body=XML_ERROR.format("InternalError")), {"Unavailable"}),
    (Fault("body", body="<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>"),
     {"Unavailable"}),
    (Fault("body", body="<ListBucketResult><Contents><Key>elsewhere</Key><Size>1</Size></Contents>"
                        "</ListBucketResult>"), {"Unavailable"}),
]


class FaultsTest(unittest.TestCase):
    def setUp(self):
        server = running(Versitygw)
        self.etag = server.put("faulty", BODY)
        server.put("faulty-dir/x", b"1")
        self.proxy = FaultProxy("127.0.0.1", server.port).start()
        self.addCleanup(self.proxy.stop)

    def read(self, offset=1000, length=200_000, **flags):
        got = read(self.proxy.url, "faulty", BODY, self.etag, offset=offset, length=length, **flags)
        # The promise, whatever happens: a success is exactly the bytes, and what was delivered
        # before an error came once and in order.
        if got["ok"]:
            self.assertEqual(got["bytes"], BODY[offset:offset + length])
        return got

    def test_a_lie_that_lasts_is_never_a_success(self):
        for fault, codes in READ_FAULTS:
            with self.subTest(fault=fault):
                self.proxy.clear()
                self.proxy.set(fault, times=-1)
                got = self.read(deadline_ms=20_000)
                self.assertIn(got.get("code"), codes, got)
                self.assertLessEqual(self.proxy.count("GET"), 6)
                self.assertLess(got["milliseconds"], 10_000)

    def test_a_lie_that_ends_is_healed(self):
        for fault, codes in READ_FAULTS:
            if codes != {"Unavailable"} or fault.kind in ("endless", "long"):
                continue  # Those may not be retried: see the next test.
            with self.subTest(fault=fault):
                self.proxy.clear()
                self.proxy.set(fault, times=2)
                got = self.read()
                self.assertTrue(got["ok"], got)
                self.assertEqual(got["delivered"], 200_000)
                # The shortest lie is no lie: a length promised too short is refused, too.
                self.assertEqual(self.proxy.count("GET"), 3)

    def test_bytes_beyond_the_promise_end_the_read(self):
        self.proxy.set(Fault("long", bytes=10), times=1)
        got = self.read()
        self.assertEqual(got.get("code"), "Unavailable", got)
        self.assertLessEqual(got["delivered"], 200_000)
        self.assertIn("more bytes", got["message"])

    def test_a_broken_transfer_goes_on_where_it_broke(self):
        for kind in ("reset", "short"):
            with self.subTest(kind=kind):
                self.proxy.clear()
                self.proxy.set(Fault(kind, bytes=150_000), times=1)
                got = self.read()
                self.assertTrue(got["ok"], got)
                self.assertEqual(got["delivered"], 200_000)
                first, second = (entry.range for entry in self.proxy.log())
                self.assertEqual(first, "bytes=1000-200999")
                begin = int(second.removeprefix("bytes=").split("-")[0])
                # RST may overtake bytes; what did arrive is not asked for again.
                self.assertLessEqual(begin, 151_000)
                if kind == "short":
                    self.assertEqual(begin, 151_000)
                self.assertEqual(self.proxy.log()[1].if_match, self.etag)
                self.assertEqual(got["metrics"].value("forebay_upstream_bytes_total"), 200_000)

    def test_a_file_replaced_between_two_attempts_is_changed(self):
        self.proxy.set(Fault("short", bytes=150_000), times=1)
        self.proxy._faults.append(Fault("etag", text='"another"'))
        got = self.read()
        self.assertEqual(got.get("code"), "Changed", got)
        self.assertEqual(got["bytes"], BODY[1000:151_000])

    def test_the_whole_object_may_come_as_200(self):
        self.proxy.set(Fault("ignore_range"))
        got = self.read(offset=0, length=len(BODY))
        self.assertTrue(got["ok"], got)

    def test_retry_after_is_honoured(self):
        self.proxy.set(Fault("status", retry_after="2"), times=1)
        got = self.read()
        self.assertTrue(got["ok"], got)
        first, second = (entry.at for entry in self.proxy.log())
        self.assertGreaterEqual(second - first, 2)
        self.assertEqual(got["metrics"].value("forebay_upstream_throttled_total"), 1)
        self.assertEqual(got["metrics"].value("forebay_upstream_requests_total", code="503"), 1)
        self.assertEqual(got["metrics"].value("forebay_upstream_requests_total", code="206"), 1)
        self.proxy.clear()
        self.proxy.set(Fault("status", retry_after="60"))
        got = self.read()
        self.assertEqual((got["code"], self.proxy.count()), ("Unavailable", 1), got)
        self.assertLess(got["milliseconds"], 2000)

    def test_retries_are_out_of_one_budget(self):
        self.proxy.set(Fault("status", status=500))
        got = self.read(repeat=30)
        self.assertEqual(set(got["codes"]), {"Unavailable"})
        # 30 first tries; 10 retries, a fifth of 30 more, and one for each second that passes.
        self.assertGreaterEqual(self.proxy.count(), 40)
        self.assertLessEqual(self.proxy.count(), 30 + 10 + 6 + 10)

    def test_a_stop_is_obeyed_within_100_ms(self):
        faults = [Fault("hang", seconds=20), Fault("delay", seconds=20),
                  Fault("status", retry_after="20")]
        for fault in faults:
            with self.subTest(fault=fault):
                self.proxy.clear()
                self.proxy.set(fault)
                got = self.read(cancel_after_ms=400)
                self.assertEqual(got.get("code"), "Cancelled", got)
                self.assertLess(got["milliseconds"], 400 + 100 + 100)  # And a busy machine.

    def test_a_deadline_is_kept(self):
        self.proxy.set(Fault("hang", seconds=20))
        got = self.read(deadline_ms=500)
        self.assertEqual(got.get("code"), "DeadlineExceeded", got)
        self.assertLess(got["milliseconds"], 1000)
        got = self.read(deadline_ms=500, threads=3, options={"max-connections": 1})
        self.assertEqual(got["codes"], ["DeadlineExceeded"] * 3)

    def test_nobody_there(self):
        self.proxy.stop()
        got = self.read()
        self.assertEqual(got["code"], "Unavailable", got)

    def test_refusals_in_plain_words(self):
        cases = [(403, "RequestTimeTooSkewed", "Denied", "set the clock"),
                 (400, "ExpiredToken", "Denied", "has expired"),
                 (403, "InvalidAccessKeyId", "Denied", "does not know access key ID"),
                 (301, "PermanentRedirect", "InvalidArgument", "set region"),
                 (400, "AuthorizationHeaderMalformed", "InvalidArgument", "set region"),
                 (404, "NoSuchBucket", "NotFound", "there is no bucket"),
                 (416, "InvalidRange", "Changed", "shorter"),
                 (412, "PreconditionFailed", "Changed", "no longer has that version")]
        for status, name, code, words in cases:
            with self.subTest(name=name):
                self.proxy.clear()
                self.proxy.set(Fault("status", status=status, body=XML_ERROR.format(name)))
                calls = [self.read()]
                if code != "Changed":
                    calls += [probe(self.proxy.url, "faulty", "stat"),
                              probe(self.proxy.url, "", "list")]
                for got in calls:
                    self.assertEqual(got.get("code"), code, got)
                    self.assertIn(words, got["message"])

    def test_a_listing_that_lies_is_refused_and_healed(self):
        for fault, codes in LIST_FAULTS:
            with self.subTest(fault=fault):
                self.proxy.clear()
                self.proxy.set(fault, times=-1)
                got = probe(self.proxy.url, "faulty-dir/", "list")
                self.assertIn(got.get("code"), codes, got)
                if fault.body.startswith("<ListBucketResult><"):
                    continue  # Well formed, so not asked for again.
                self.proxy.clear()
                self.proxy.set(fault, times=1)
                self.assertEqual(names(probe(self.proxy.url, "faulty-dir/", "list")), ["x"])

    def test_a_head_that_lies(self):
        for fault in (Fault("drop_header", text="content-length"), Fault("html", status=500),
                      Fault("refuse")):
            with self.subTest(fault=fault):
                self.proxy.clear()
                self.proxy.set(fault, times=1)
                fault.method = "HEAD"
                got = probe(self.proxy.url, "faulty", "stat")
                self.assertEqual((got.get("size"), got.get("version")), (len(BODY), self.etag), got)

    def test_content_encoding_is_not_decoded(self):
        server = running(Moto)
        server.client.put_object(Bucket="bucket-1", Key="zipped", Body=b"not really gzip",
                                 ContentEncoding="gzip")
        stat = probe(server.url, "zipped", "stat")
        got = read(server.url, "zipped", b"not really gzip", stat["version"])
        self.assertEqual(got.get("bytes"), b"not really gzip", got)


if __name__ == "__main__":
    unittest.main()
