"""Tests of the demo's own code: data, judgement, figure. python3 examples/market/market_test.py"""

import hashlib
import math
import os
import struct
import sys
import tempfile
import unittest
import xml.etree.ElementTree

import numpy as np

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../tools/netlab"))

import figure
import generate
import report
import tasks
from netlab import LabError

TEXT = "Date,Open,High,Low,Close,Volume\n" + "\n".join(
    f"d{i},{100 + i % 7},{103 + i % 7},{98 + i % 7 - i % 2},{101 + (i * 3) % 5},{1000 + i}"
    for i in range(60))
SERIES = generate.parse(TEXT)


def outcome(seconds, count=1, **links):
    moved = {"store_sent": 0, "workers_sent": 0, "tasks_received": 0, **links}
    return tasks.Outcome([seconds] * count, [], 50_000_000 * count, {}, tasks.Links(**moved))


def warm(seconds, workers=5_000_000_000, store=0):
    return outcome(seconds, 100, workers_sent=workers, store_sent=store,
                   tasks_received=5_000_000_000)


def measured(warm_at_100, replaced=()):
    """A run in which every bar but the last one's is reached with room."""
    store_bytes = 1_250_000_000 / 8 * 32
    points = {count: {"direct": [outcome(0.34 * count, count)], "rclone": [outcome(count, count)],
                      "cold": [outcome(0.1 * count, count)], "warm": [outcome(0.1 * count, count)],
                      "mount": [outcome(0.1 * count, count)]}
              for count in (1, 10)}
    points[100] = {"direct": [outcome(32.0, 100, store_sent=int(store_bytes * 0.95))],
                   "warm": [warm(warm_at_100)], "mount": [outcome(5.0, 100)]}
    for (count, mode), replacement in dict(replaced).items():
        points[count][mode] = [replacement]
    return points


def missed(points):
    return [bar.text for bar in report.bars(points, 1250) if not bar.reached]


class DataTest(unittest.TestCase):
    def test_bootstrap_draws_blocks_of_the_wanted_mean_length(self):
        drawn = generate.stationary_bootstrap(np.random.default_rng(1), 50, 100_000, 10.0)
        self.assertEqual(len(drawn), 100_000)
        self.assertEqual((drawn.min(), drawn.max()), (0, 49))
        breaks = np.count_nonzero((drawn[1:] - drawn[:-1]) % 50 != 1) + 1
        # One block in fifty goes on where the last one ended, by chance.
        self.assertAlmostEqual(100_000 / breaks, 10.0 * 50 / 49, delta=0.5)

    def test_bars_are_consistent(self):
        bars = generate.expand(generate.Symbol("T0", 30), SERIES, SERIES)
        time, opening, high, low, close, volume = bars
        self.assertEqual(bars.shape, (6, 30 * 390))
        self.assertTrue((np.diff(time) > 0).all())
        self.assertTrue((time == np.rint(time)).all())
        self.assertTrue((high >= np.maximum(opening, close)).all())
        self.assertTrue((low <= np.minimum(opening, close)).all())
        self.assertTrue((low > 0).all() and (volume >= 0).all())

    def test_days_are_the_drawn_days_of_the_source(self):
        bars = generate.expand(generate.Symbol("T1", 20), SERIES, SERIES).reshape(6, 20, 390)
        moves = np.log(bars[4, :, -1] / bars[1, :, 0])
        nearest = np.abs(moves[:, None] - SERIES.move[None, :]).min(axis=1)
        self.assertLess(nearest.max(), 1e-5)

    def test_a_name_gives_the_same_bars_again_and_another_gives_others(self):
        first, again, other = (generate.expand(generate.Symbol(n, 5), SERIES, SERIES)
                               for n in ("A", "A", "B"))
        self.assertTrue((first == again).all())
        self.assertFalse((first[4] == other[4]).any())

    def test_files_are_as_their_format_says(self):
        with tempfile.TemporaryDirectory() as folder:
            for below in ("bars", "csv"):
                os.mkdir(os.path.join(folder, below))
            binary, text = generate.write(generate.Symbol("T2", 3, True), folder, SERIES, SERIES)
            with open(os.path.join(folder, binary["name"]), "rb") as file:
                raw = file.read()
            with open(os.path.join(folder, text["name"]), encoding="ascii") as file:
                lines = file.read().splitlines()
        magic, rows, columns, _, epoch, symbol = struct.unpack_from("<8sQIIq32s", raw)
        self.assertEqual((magic, rows, columns, symbol.rstrip(b"\0")),
                         (b"FBMBAR01", 3 * 390, 6, b"T2"))
        self.assertEqual(epoch % 86_400, 0)
        self.assertEqual(len(raw), 64 + 4 * rows * columns)
        self.assertEqual(binary["bytes"], len(raw))
        self.assertEqual(binary["sha256"], hashlib.sha256(raw).hexdigest())
        close = struct.unpack_from(f"<{rows}f", raw, 64 + 4 * 4 * rows)
        squares = sum(math.log(b / a) ** 2 for a, b in zip(close, close[1:]))
        self.assertTrue(math.isclose(binary["volatility"], math.sqrt(squares * 98_280 / (rows - 1)),
                                     rel_tol=tasks.VOLATILITY_TOLERANCE))
        self.assertEqual(len(lines), rows + 1)
        in_text = [np.float32(line.split(",")[4]) for line in lines[1:]]
        self.assertEqual(in_text, list(np.float32(close)))

    def test_the_data_set_has_the_sizes_it_promises(self):
        sizes = [64 + s.days * generate.DAY_BYTES for s in generate.symbols()]
        self.assertGreaterEqual(len(sizes), 1_500)
        self.assertGreaterEqual(sum(sizes), 2_000_000_000)
        self.assertGreaterEqual(sum(10_000 <= s <= 200_000 for s in sizes), 1_000)
        burst = [64 + d * generate.DAY_BYTES for d in generate.BURST_DAYS]
        self.assertGreaterEqual(min(burst), 4_000_000)
        self.assertAlmostEqual(sum(burst), 50_000_000, delta=100_000)


class JudgementTest(unittest.TestCase):
    def test_reached_bars(self):
        self.assertEqual(missed(measured(4.8)), [])

    def test_each_bar_can_be_missed(self):
        for replaced, words in (
                ({(1, "warm"): outcome(0.35)}, "1 task: warm"),
                ({(10, "cold"): outcome(3.8, 10)}, "10 tasks: cold"),
                ({(100, "direct"): outcome(32.0, 100, store_sent=4_400_000_000)}, "direct fills"),
                ({(100, "warm"): warm(4.0, workers=4_700_000_000)}, "workers' links"),
                ({(100, "warm"): warm(4.0, store=300_000_000)}, "workers' links"),
                ({(100, "warm"): warm(4.9)}, "warm is 84.7%")):
            found = missed(measured(4.0, replaced=replaced))
            self.assertEqual(len(found), 1, found)
            self.assertIn(words, found[0])

    def test_the_faster_way_straight_from_the_store_is_the_baseline(self):
        points = measured(4.8, replaced={(1, "rclone"): outcome(0.05)})
        self.assertIn("2.00 of rclone's mean", " ".join(missed(points)))

    def test_p99_is_by_rank(self):
        seconds = [float(i) for i in range(1, 201)]
        self.assertEqual(tasks.Outcome(seconds, [], 1, {}, None).p99, 198.0)
        self.assertEqual(tasks.Outcome([1.0, 2.0], [], 1, {}, None).p99, 2.0)

    def test_a_task_that_read_or_computed_anything_else_is_refused(self):
        entry = {"volatility": 0.25, "sha256": "ab"}
        good = {"accessSeconds": 1, "firstByteSeconds": 0.1, "bytes": 7, "sha256": {"u": "ab"},
                "volatility": {"u": 0.25}, "sources": {"local": 0, "peer": 7, "upstream": 0}}

        def judge(**changes):
            text = tasks.json.dumps({**good, **changes})
            return tasks.outcome_of_tasks([text], None, {"u": entry}, 7)

        self.assertEqual(judge().bytes, 7)
        for changes in ({"volatility": {"u": 0.25000001}}, {"volatility": {}}, {"bytes": 6},
                        {"sha256": {"u": "ac"}}):
            with self.assertRaises(LabError):
                judge(**changes)


class FigureTest(unittest.TestCase):
    SERIES = {"direct <a>": [(1, 0.3), (10, 3.0), (100, 30.0)], "warm": [(1, 0.1), (100, 3.5)]}

    def test_svg_is_well_formed_and_has_every_line(self):
        root = xml.etree.ElementTree.fromstring(figure.svg("T & t", self.SERIES))
        lines = [e.get("points") for e in root if e.tag.endswith("polyline")]
        self.assertEqual([len(line.split()) for line in lines], [3, 2])

    def test_chart_shows_every_point_to_scale(self):
        lines = figure.chart("T", self.SERIES).splitlines()
        self.assertEqual([line.count("#") for line in lines if "|" in line], [1, 1, 5, 50, 6])


if __name__ == "__main__":
    unittest.main()
