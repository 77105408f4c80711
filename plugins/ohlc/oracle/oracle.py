"""Open, high, low, close and volume by definition, in exact fractions: the oracle that the OHLC plugin is compared with.

It shares no code and no method with the plugin: every observation of an open window is kept, and a window is worked
out from all of them when it is over.

Reads cases from standard input, one word list per line, separated by commas:

    case,KEY=VALUE,...              the plugin's settings
    row,KEY,TIME_US,PRICE,VOLUME    `-` = none; else `=` and the key, 16 hex digits of a double for the price, and for
                                    the volume a whole number under volume.type=int64, else 16 hex digits
    end                             the end of the stream: every window is over

Writes one line per `row` and `end`: `reject`, or the windows that fire there, separated by blanks, or `-` for none;
a window is `START,KEY,OPEN,HIGH,LOW,CLOSE,VOLUME,COUNT`.
"""

import math
import struct
import sys
from fractions import Fraction

UNITS_US = {"ms": 1_000, "s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000}


def duration_us(text):
    if text == "0":
        return 0
    digits = text.rstrip("msdh")
    return int(digits) * UNITS_US[text[len(digits):]]


def double(bits):
    return struct.unpack(">d", bytes.fromhex(bits))[0]


def shown(value):
    if value is None:
        return "-"
    if isinstance(value, int):
        return str(value)
    # One zero: the plugin takes -0.0 for 0.0.
    return "nan" if math.isnan(value) else struct.pack(">d", value + 0.0).hex()


def total(volumes):
    """The sum of a window's volumes: whole numbers stay such, doubles are added as fractions and rounded once."""
    if not volumes:
        return None
    if isinstance(volumes[0], int):
        return sum(volumes)
    special = [volume for volume in volumes if not math.isfinite(volume)]
    if special:
        return sum(special)
    exact = sum((Fraction(volume) for volume in volumes), Fraction(0))
    try:
        return float(exact)
    except OverflowError:
        return math.inf if exact > 0 else -math.inf


class Bars:
    """The plugin's rules, one row at a time."""

    def __init__(self, settings):
        self.interval_us = duration_us(settings["interval"])
        self.lateness_us = duration_us(settings.get("lateness", "0"))
        future = settings.get("future.max", "30d")
        self.future_us = math.inf if future == "none" else duration_us(future)
        self.whole = settings.get("volume.type") == "int64"
        self.newest = None
        self.windows = {}  # (start, key) to its observations: (time, number of the row, price, volume)
        self.rows = 0

    def over(self, start, watermark):
        return watermark is not None and start + self.interval_us <= watermark

    def fire(self, watermark):
        due = [window for window in self.windows if self.over(window[0], watermark)]
        # No key before any key; keys as bytes.
        due.sort(key=lambda window: (window[0], window[1] is not None, (window[1] or "").encode()))
        return [self.bar(start, key, self.windows.pop((start, key))) for start, key in due]

    def bar(self, start, key, held):
        by_time = sorted(held, key=lambda observation: observation[:2])
        prices = [price for _, _, price, _ in held]
        volumes = [volume for _, _, _, volume in held if volume is not None]
        words = [by_time[0][2], max(prices), min(prices), by_time[-1][2], total(volumes), len(held)]
        name = "-" if key is None else "=" + key
        return ",".join([str(start), name, *map(shown, words)])

    def row(self, key, time, price, volume):
        if self.newest is not None and time - self.newest > self.future_us:
            return None
        before = None if self.newest is None else self.newest - self.lateness_us
        self.newest = time if self.newest is None else max(self.newest, time)
        self.rows += 1
        start = time - time % self.interval_us
        takes = price is not None and not math.isnan(price) and not self.over(start, before)
        if takes and self.whole and volume is not None:
            held = self.windows.get((start, key), [])
            if not -(2**63) <= sum(taken[3] or 0 for taken in held) + volume < 2**63:
                return None
        fired = self.fire(self.newest - self.lateness_us)
        if takes:
            self.windows.setdefault((start, key), []).append((time, self.rows, price, volume))
        return fired

    def end(self):
        return self.fire(math.inf)


def main():
    bars = None
    for line in sys.stdin:
        kind, *words = line.rstrip("\n").split(",")
        if kind == "case":
            bars = Bars(dict(word.split("=", 1) for word in words))
            continue
        if kind == "end":
            fired = bars.end()
        else:
            key, time, price, volume = words
            amount = None if volume == "-" else int(volume) if bars.whole else double(volume)
            fired = bars.row(
                None if key == "-" else key[1:], int(time), None if price == "-" else double(price), amount
            )
        print("reject" if fired is None else " ".join(fired) or "-")


if __name__ == "__main__":
    main()
