from cgroups import run

JOBS = {"backup": ["sleep", "0.1"], "index": ["sh", "-c", "exit 3"], "stuck": ["sleep", "1000"]}
failed = []
for name, command in JOBS.items():
    report = run(command, memory="1G", pids=100, timeout=2, grace=1)
    print(f"{name:8} exit {report.exit_code:3}  {report.wall_ns / 1e9:6.1f} s  {report.ended_by or ''}")
    if report.returncode:
        failed.append(name)
assert failed == ["index", "stuck"], failed
