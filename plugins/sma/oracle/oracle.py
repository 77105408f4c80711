"""The moving average by definition, in exact fractions: the oracle that the SMA plugin is compared with.

It shares no code and no method with the plugin: each window is gathered anew from all rows so far, and
its mean is `float(Fraction(sum) / n)`, which Python rounds once, ties to even.

Reads cases from standard input, one word list per line, separated by commas:

    case,KEY=VALUE,...          the plugin's settings
    row,KEY,TIME_US,BITS        `-` = no key, no observation; else `=` and the key, 16 hex digits of a double

Writes one line per row: `MEAN,COUNT,SUM` (16 hex digits, `nan`, or `-` for null), or `drop` where no row goes on.
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
    return "nan" if math.isnan(value) else struct.pack(">d", value).hex()


def rounded(number):
    """The double nearest to a fraction; Python refuses what rounds beyond the largest."""
    try:
        return float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf


def exact(value):
    """A finite double as the fraction that it is; NaN and infinities stay doubles."""
    return Fraction(value) if math.isfinite(value) else value


def total(values):
    """The sum of a window as a fraction, or what IEEE 754 makes of it when it is not finite."""
    special = [value for value in values if isinstance(value, float)]
    return sum(special) if special else sum(values, Fraction(0))


class Key:
    """What a key's rows were."""

    def __init__(self):
        self.rows = []  # every row in the order of arrival: (time, exact observation or None)
        self.newest = None


class Average:
    """The plugin's rules, one row at a time."""

    def __init__(self, settings):
        self.settings = settings
        window = settings["window"]
        self.last_rows = int(window) if window.isdigit() else None
        self.width_us = None if self.last_rows else duration_us(window)
        self.min_periods = int(settings.get("min.periods", self.last_rows or 1))
        self.lateness_us = duration_us(settings.get("lateness", "0"))
        self.ttl_us = duration_us(settings["key.ttl"]) if "key.ttl" in settings else None
        self.keys = {}
        self.seen = {}
        self.clock = None

    def find(self, name, time):
        self.clock = time if self.clock is None else max(self.clock, time)
        if self.ttl_us is not None and name in self.keys and self.clock - self.seen[name] > self.ttl_us:
            del self.keys[name]
        self.seen[name] = self.clock
        return self.keys.setdefault(name, Key())

    def window(self, key, time, value):
        """The observations of the row's window; None for a row that is too late."""
        if self.last_rows:
            key.rows.append((time, value))
            return [held for _, held in key.rows[-self.last_rows:] if held is not None]
        if key.newest is not None and key.newest - time > self.lateness_us:
            return None
        key.newest = time if key.newest is None else max(key.newest, time)
        key.rows.append((time, value))
        inside = (held for at, held in key.rows if time - self.width_us < at <= time)
        return [held for held in inside if held is not None]

    def row(self, name, time, value):
        window = self.window(self.find(name, time), time, value)
        ready = window is not None and len(window) >= self.min_periods
        if not ready and self.settings.get("emit") == "ready":
            return "drop"
        mean = sum_ = None
        if ready:
            sum_ = mean = total(window)
            if isinstance(sum_, Fraction):
                mean = rounded(sum_ / len(window))
                sum_ = rounded(sum_)
        count = len(window) if window is not None else "-"
        return f"{shown(mean)},{count},{shown(sum_)}"


def main():
    average = None
    for line in sys.stdin:
        kind, *words = line.rstrip("\n").split(",")
        if kind == "case":
            average = Average(dict(word.split("=", 1) for word in words))
        else:
            name, time, bits = words
            value = None if bits == "-" else exact(double(bits))
            print(average.row(name, int(time), value))


if __name__ == "__main__":
    main()
