"The long fault suite: `python tools/faults.py [KILLS]` prints faults and outcomes; `make faults` runs it."
import sys
from aligntune.bench.faults import suite
from aligntune.bench.lost import lost_suite

if __name__ == '__main__':
    rows = [*suite(int(sys.argv[1]) if len(sys.argv) > 1 else 50), *lost_suite()]
    sys.exit(not all(r.ok for r in rows))
