import sys

from cgroups import run

report = run([sys.executable, "-c", "x = bytearray(50 << 20)"], memory="200M", timeout=60)
print(f"exit {report.exit_code}, peak {report.memory_peak >> 20} MiB, {report.cpu_ns / 1e9:.2f} s of CPU")
assert report.memory_peak > 50 << 20
