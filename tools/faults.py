"The long fault suite: `python tools/faults.py [KILLS]` prints the table of faults and outcomes; `make faults` runs it."
import sys
from aligntune.bench.faults import suite

if __name__ == '__main__': sys.exit(not all(r.ok for r in suite(int(sys.argv[1]) if len(sys.argv) > 1 else 50)))
