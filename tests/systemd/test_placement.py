"""Commands and groups that are limited and measured where systemd manages the tree: by root and by an ordinary user."""

from __future__ import annotations

from collections.abc import Callable

from conftest import EVERYWHERE, USERS, WHOLE, at

Run = Callable[..., str]


def test_run_over_its_memory_is_ended_by_the_kernel_and_told_so(run_script: Run) -> None:
    run_script("""
        before = own()
        report = run([sys.executable, "-c", "x = bytearray(200 << 20)"], memory="64M")
        assert (report.returncode, report.exit_code, report.ended_by) == (-9, 137, "oom"), report
        assert report.oom_kills >= 1 and report.cpu_ns > 0 and 60 << 20 <= report.memory_peak <= 64 << 20, report
        assert "systemd" in report.place or "below" in report.place, report
        assert own() == before
        assert no_scopes()
    """)


@at("session", whole=EVERYWHERE)
def test_run_command_over_its_memory_exits_with_137(run_script: Run) -> None:
    run_script("""
        before = own()
        words = [sys.executable, "-m", "cgroups", "run", "-m", "64M", "--"]
        words += [sys.executable, "-c", "x = bytearray(200 << 20)"]
        done = subprocess.run(words, capture_output=True, text=True)
        assert done.returncode == 137, done
        for text in ("by the kernel: out of memory", "64.0 MiB at most", "cpu ", "place "):
            assert text in done.stderr, done.stderr
        assert own() == before and no_scopes()
    """)


@at("session", whole=EVERYWHERE)
def test_run_measures_and_limits_all_that_was_asked_for(run_script: Run) -> None:
    run_script("""
        report = run([sys.executable, "-c", "import os; print(os.cpu_count()); bytearray(20 << 20)"], memory="256M",
                     cpus=0.5, pids=20, capture_output=True, text=True)
        assert report.returncode == 0 and report.stdout.strip() == str(os.cpu_count()), report
        assert report.memory_peak > 20 << 20 and report.cpu_ns > 0 and report.page_faults > 0, report
        assert report.ended_by is None and report.voluntary_switches is not None
        assert report.estimated == () if not USER else set(report.estimated) <= {"read_bytes", "written_bytes"}
        if USER:
            assert "systemctl edit user@.service" in report.missing["blkio"], report.missing
    """)


@at("session", whole=EVERYWHERE)
def test_starts_again_and_again_leave_nothing(run_script: Run) -> None:
    run_script(
        """
        import asyncio
        from cgroups import aio
        rounds = int(sys.argv[1])

        async def start(group):
            async with aio.Popen(["true"], cgroup=group) as process:
                assert await process.wait() == 0

        def temporary():
            with Group.temporary("job", ["pids"], pids=10) as group:
                assert group.spawn(["true"]).wait() == 0
                asyncio.run(start(group))

        temporary()
        files = len(os.listdir("/proc/self/fd"))
        for number in range(rounds):
            assert run(["true"], pids=10).returncode == 0
            temporary()
        assert len(os.listdir("/proc/self/fd")) <= files + 3  # what the package keeps open
        assert no_scopes()
        """,
        "100" if WHOLE else "10",
    )


@at("session", whole=EVERYWHERE)
def test_run_in_ten_threads_at_once(run_script: Run) -> None:
    run_script("""
        from concurrent.futures import ThreadPoolExecutor
        with ThreadPoolExecutor(10) as pool:
            reports = list(pool.map(lambda number: run(["sh", "-c", f"exit {number}"], memory="32M"), range(10)))
        assert [report.returncode for report in reports] == list(range(10))
        assert len({report.place for report in reports}) == 10 or "systemd" not in reports[0].place
        assert no_scopes()
    """)


def test_temporary_group_is_limited_and_its_programs_are_born_inside(run_script: Run) -> None:
    run_script("""
        before = own()
        for number in range(3):
            with Group.temporary("job", ["memory", "pids"], limits={Memory.limit_in_bytes: 64 << 20}) as group:
                with group.spawn(["cat", "/proc/self/cgroup"], stdout=subprocess.PIPE, text=True) as process:
                    text = process.stdout.read()
                assert all(f":{one.location}\\n" in text for one in group), text
                assert group.get(Memory.limit_in_bytes) == 64 << 20
                with group.spawn([sys.executable, "-c", "x = bytearray(200 << 20)"]) as process:
                    assert process.wait() == -9
                assert group.get(Memory.oom_control).oom_kill >= 1
        assert own() == before and no_scopes()
    """)


@at("session", whole=EVERYWHERE)
def test_aio_popen_starts_in_a_temporary_group(run_script: Run) -> None:
    run_script("""
        import asyncio
        from cgroups import aio

        async def one(number):
            with Group.temporary("job", ["pids"]) as group:
                async with aio.Popen(["cat", "/proc/self/cgroup"], cgroup=group, stdout=aio.PIPE) as process:
                    text = (await process.stdout.read()).decode()
                assert all(f":{cgroup.location}\\n" in text for cgroup in group), text

        async def main():
            await asyncio.gather(*map(one, range(3)))

        asyncio.run(main())
        assert no_scopes()
    """)


@at("session", whole=EVERYWHERE)
def test_run_that_systemd_stops_is_reported(run_script: Run) -> None:
    run_script("""
        import threading
        def stop():
            while not (units := scopes()):
                time.sleep(0.1)
            time.sleep(1)
            subprocess.run([*SYSTEMCTL, "stop", *units], check=True)
        thread = threading.Thread(target=stop)
        thread.start()
        report = run(["sleep", "100"], memory="64M")
        thread.join()
        assert (report.returncode, report.ended_by) == (-15, "signal") and report.cpu_ns > 0, report
        assert no_scopes()
    """)


@at("session")
def test_run_command_that_a_signal_ends_reports_and_leaves_nothing(run_script: Run) -> None:
    run_script("""
        words = [sys.executable, "-m", "cgroups", "run", "--pids", "20", "--", "sleep", "100"]
        process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
        while not scopes():
            time.sleep(0.1)
        time.sleep(2)
        process.terminate()
        _, text = process.communicate()
        assert process.returncode == 128 + 15 and "command      sleep 100" in text, (process.returncode, text)
        assert no_scopes()
    """)


@at("session")
def test_run_whose_runner_is_killed_ends_with_its_command(run_script: Run) -> None:
    run_script("""
        words = [sys.executable, "-c", "from cgroups import run; run(['sleep', '5'], pids=20)"]
        process = subprocess.Popen(words)
        while not scopes():
            time.sleep(0.1)
        time.sleep(1)
        process.kill()
        process.wait()
        assert no_scopes()
    """)


@at("session", whole=USERS)
def test_place_that_is_asked_for_is_the_only_one(run_script: Run) -> None:
    run_script("""
        assert "systemd" in run(["true"], place="systemd").place
        report = run(["true"], place="none")
        assert report.place == "no cgroup" and "cpu_ns" in report.estimated
        raises(InvalidValue, run, ["true"], place="none", pids=3)
        raises(InvalidValue, run, ["true"], place="elsewhere")
        if USER:
            error = raises(AccessDenied, run, ["true"], place="own", pids=3) if own()[0].endswith(".scope") else None
    """)


@at("session")
def test_run_without_systemd_measures_and_refuses_limits(run_script: Run) -> None:
    run_script("""
        sys.modules["jeepney"] = None
        report = run([sys.executable, "-c", "x = bytearray(30 << 20)"])
        assert report.returncode == 0 and report.place == "no cgroup" and report.memory_peak > 0, report
        assert "jeepney" in report.refused["systemd"], report.refused
        error = raises(AccessDenied, run, ["true"], memory="64M")
        assert "pip install 'cgroups-cffi[systemd]'" in str(error), error
    """)


@at("session", whole=EVERYWHERE)
def test_slice_is_shared(run_script: Run) -> None:
    run_script("""
        report = run(["cat", "/proc/self/cgroup"], pids=20, slice="cgroupstest.slice", capture_output=True, text=True)
        assert "/cgroupstest.slice/" in report.stdout, report
    """)


@at("session", whole=EVERYWHERE)
def test_scope_of_a_killed_program_is_named_with_the_command_that_ends_it(run_script: Run) -> None:
    run_script("""
        words = [sys.executable, "-c", "from cgroups import run; run(['sleep', '300'], pids=20)"]
        process = subprocess.Popen(words)
        while not scopes():
            time.sleep(0.1)
        time.sleep(2)
        process.kill()
        process.wait()
        (left,) = scopes()
        report = run(["true"], pids=20)
        assert len(report.abandoned) == 1 and report.abandoned[0].endswith(left), report
        words = [sys.executable, "-m", "cgroups", "run", "--pids", "20", "--", "true"]
        text = subprocess.run(words, capture_output=True, text=True).stderr
        command = f"systemctl {'--user ' if USER else ''}stop {left}"
        assert f"to remove it: {command}" in text, text
        subprocess.run(command.split(), check=True)
        assert no_scopes()
    """)


@at("session")
def test_delegated_name_of_a_killed_program_is_warned_of(run_script: Run) -> None:
    run_script("""
        text = f"g = Scope.obtain({NAME!r}, ['pids']); g.spawn(['sleep', '300']); os._exit(0)"
        subprocess.run([sys.executable, "-c", f"import os; from cgroups import *; {text}"], check=True)
        time.sleep(1)
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always")
            group = obtain(controllers=["pids"])
        (warning,) = found
        assert f"stop it with: systemctl --user stop {UNIT}" in str(warning.message), warning
        assert warning.filename == "<string>" and group.unit != UNIT
        group.remove(timeout=60)
        subprocess.run([*SYSTEMCTL, "stop", UNIT], check=True)
        assert is_gone()
    """)


@at("service")
def test_caller_that_is_the_only_process_of_a_delegated_service_makes_room(run_script: Run) -> None:
    script = """
from cgroups import *
before = Hierarchy.own("").location
report = run(["true"], pids=5, memory="32M")
assert report.place == f"below its own :{before}" and report.refused == {}, report
assert Hierarchy.own("").location == before + "/cgroups-caller"
assert run(["true"], pids=5).place == report.place
"""
    run_script(
        """
        words = ["systemd-run", "--user", "--quiet", "--pipe", "--wait", "-p", "Delegate=yes"]
        words += ["--setenv=PYTHONPATH=" + os.environ["PYTHONPATH"], sys.executable, "-c", sys.argv[1]]
        done = subprocess.run(words, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        """,
        script,
    )


@at("session", whole=EVERYWHERE)
def test_info_tells_what_run_can_limit(run_script: Run) -> None:
    run_script("""
        import json
        words = [sys.executable, "-m", "cgroups", "info", "--json"]
        own, systemd = json.loads(subprocess.run(words, capture_output=True).stdout)["run_places"]
        assert {"cpu", "memory", "pids"} <= set(systemd["controllers"]) and systemd["refused"] is None, systemd
        if USER:
            assert "systemctl edit user@.service" in systemd["missing"]["blkio"], systemd
    """)
