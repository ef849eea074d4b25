"""Counts the rows of docs/RELIABILITY.md that the tests have run: rows.py OUTPUT-OF-CARGO-TEST SKIPPED-ROWS

A row has run when every test that the document names for it is `ok` in the output, and none of them said that it went no
further on this machine. Rows that were skipped are listed with the reason; the count is the last line.
"""

import re
import sys
from pathlib import Path

output, skipped_rows = (Path(name).read_text(errors="replace") for name in sys.argv[1:3])
document = (Path(__file__).parent.parent / "docs/RELIABILITY.md").read_text()

passed = set(re.findall(r"^test (?:\S+::)?(\w+) \.\.\. ok$", output, re.MULTILINE))
skipped = {}
for line in skipped_rows.splitlines():
    row, why = line.split("\t", 1)
    skipped.setdefault(int(row), set()).add(why)

run, missing = [], []
for line in document.splitlines():
    row = re.match(r"\| (\d+) \|.*\| ([^|]+) \|$", line)
    if not row:
        continue
    number = int(row[1])
    absent = [name for name in re.findall(r"`(\w+)`", row[2]) if name not in passed]
    missing += [f"row {number}: {name} did not run" for name in absent]
    if number not in skipped and not absent:
        run.append(number)

for line in missing:
    print(line)
for number in sorted(skipped):
    for why in sorted(skipped[number]):
        print(f"row {number} skipped: {why}")
print(f"rows: {len(run)} run, {len(skipped)} skipped")
sys.exit(1 if missing or len(run) + len(skipped) != 86 else 0)
