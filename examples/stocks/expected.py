"""The rows that the example must end with, computed apart from weir: exact sums of the decimal closes read as doubles.

Usage: expected.py data.csv > expected.txt        (the last five days: symbol, date, close, 20-day and 200-day average)
"""

import csv
import sys
from fractions import Fraction

WINDOWS = (20, 200)
SHOWN = 5


def main() -> None:
    with open(sys.argv[1], newline="") as file:
        rows = list(csv.DictReader(file))
    closes = [Fraction(float(row["price"])) for row in rows]
    for end in range(len(rows) - SHOWN + 1, len(rows) + 1):
        averages = [float(sum(closes[end - window:end]) / window) for window in WINDOWS]
        row = rows[end - 1]
        print(row["symbol"], row["date"], float(row["price"]), *averages)


main()
