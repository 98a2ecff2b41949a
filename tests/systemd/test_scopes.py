"""Scopes of a real systemd: obtained, used and ended, as root and as a user, and what is refused."""

from __future__ import annotations

from collections.abc import Callable

from conftest import at

Run = Callable[..., str]


def test_a_group_is_obtained_used_and_removed(run_script: Run) -> None:
    run_script("""
        before = own()
        warnings.simplefilter("error")
        group = obtain()
        place = group.places[0].location
        found = state()
        assert found["ActiveState"] == "active" and found["Delegate"] == "yes", found
        assert found["ControlGroup"] == place and place.endswith("/" + UNIT), found
        assert set(found["DelegateControllers"].split()) == {"memory", "pids"}, found
        assert group.exists and {one.location for one in group} == {f"{place}/{NAME}"}
        assert isinstance(group, Group) and group.unit == UNIT and group.controllers == ("memory", "pids")

        group.set(Memory.limit_in_bytes, 64 << 20)
        assert group.get(Memory.limit_in_bytes) == 64 << 20
        group.update({Pids.max: 20})
        child = sleep()
        group.add_process(child.pid)
        assert group.processes() == [child.pid]
        assert {one.location for one in Hierarchy.process_info(child.pid) if one in set(group)} == {f"{place}/{NAME}"}
        with group.spawn(["cat", "/proc/self/cgroup"], stdout=subprocess.PIPE, text=True) as process:
            text = process.stdout.read()
        assert all(f":{one.location}\\n" in text for one in group), text
        assert text.count(f"{place}/{NAME}\\n") >= len(group.cgroups), text
        raises(CgroupBusy, group.remove, recursive=True)
        assert group.exists and state()["ActiveState"] == "active"
        child.kill()
        child.wait()
        inner = group.cgroup_of("memory").make_sub("inner")
        Parameters.set(Memory.limit_in_bytes, inner, 32 << 20)
        group.remove(recursive=True, timeout=60)
        assert not group.exists
        raises(CgroupGone, group.remove)
        assert is_gone()
        assert not any(one.exists for one in group.places)
        for number in range(3):  # and again, in the same program
            with obtain() as other:
                with other.spawn(["true"]) as process:
                    assert process.wait() == 0
        # The caller was never moved.
        assert own() == before, own()
    """)


@at("root")
def test_a_block_ends_what_is_inside(run_script: Run) -> None:
    run_script("""
        try:
            with obtain() as group:
                process = group.spawn(["sleep", "300"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                raise KeyError("something")
        except KeyError:
            pass
        assert process.wait() == -9 and not group.exists
        with obtain() as group:
            child = os.fork()
            if child == 0:
                group.__exit__(None, None, None)  # a copy's
                os._exit(0)
            os.waitpid(child, 0)
            assert group.exists
        for _ in range(2):  # and the name is free again at once
            name = NAME + "-again"
            with obtain(name):
                assert state(name + ".scope")["ActiveState"] == "active"
    """)


@at("root", "hybrid")
def test_it_ends_with_the_program(run_script: Run) -> None:
    run_script("""
        group = obtain()
        assert state()["ActiveState"] == "active"
        os._exit(0)
    """)
    run_script("assert is_gone()")


@at("root")
def test_what_is_inside_keeps_it(run_script: Run) -> None:
    run_script("""
        group = obtain()
        group.add_process(sleep().pid)
        os._exit(0)
    """)
    run_script("""
        time.sleep(2)
        assert state()["ActiveState"] == "active", state()
        subprocess.run([*SYSTEMCTL, "stop", UNIT], check=True)
        assert is_gone()
    """)


@at("root")
def test_what_is_refused_leaves_nothing(run_script: Run) -> None:
    run_script("""
        raises(InvalidValue, obtain, "no/name")
        raises(InvalidValue, obtain, "x" * 250)
        raises(InvalidValue, obtain, NAME, [3])
        raises(SubsystemNotAvailable, obtain, NAME, ["nonesuch"])
        error = raises(SubsystemNotAvailable, obtain, NAME, ["hugetlb"])
        assert "systemd manages no cgroups of this controller" in str(error), error
        raises(CgroupTimeout, obtain, timeout=0)
        assert is_gone()

        group = obtain()
        with obtain() as other:  # of the same name
            assert other.unit.startswith(NAME + "-") and group.unit == UNIT, (other.unit, group.unit)
            assert state(other.unit)["ActiveState"] == state()["ActiveState"] == "active"
        assert group.exists
        group.remove(timeout=60)

        sys.modules["jeepney"] = None
        for name in [name for name in sys.modules if name.startswith("jeepney.")]:
            del sys.modules[name]
        error = raises(SystemdError, obtain)
        assert "cgroups-cffi[systemd]" in error.hint, error
    """)


@at("root", "session")
def test_a_scope_that_was_stopped(run_script: Run) -> None:
    run_script("""
        group = obtain()
        subprocess.run([*SYSTEMCTL, "stop", UNIT], check=True)
        assert is_gone() and not group.exists
        raises(CgroupGone, group.remove)
    """)


@at("root")
def test_a_name_that_the_kernel_could_take_for_a_file(run_script: Run) -> None:
    run_script("""
        with obtain("memory") as group:
            assert group.places[0].name == "_memory.scope"
            assert state("memory.scope")["ControlGroup"].endswith("/_memory.scope")
    """)


@at("session", "service")
def test_what_a_user_may_not(run_script: Run) -> None:
    run_script("""
        for spec in (":/cgroups-test-by-hand", "cpuset:/cgroups-test-by-hand"):
            error = raises(AccessDenied, Hierarchy.find_or_create, spec)
            assert "Scope.obtain" in error.hint, error
        error = raises(AccessDenied, obtain, user=False)
        assert "polkit" in error.hint and "user=True" in error.hint, error
        error = raises(SubsystemNotAttached, obtain, NAME, ["memory", "cpuset"])
        assert "systemctl edit user@.service" in error.hint and "cpuset" in error.hint, error
        assert is_gone()
        os.environ.pop("DBUS_SESSION_BUS_ADDRESS", None)
        os.environ["XDG_RUNTIME_DIR"] = "/nonexistent"
        error = raises(SystemdError, obtain)
        assert "no user manager" in str(error) and "enable-linger" in error.hint, error
        del os.environ["XDG_RUNTIME_DIR"]  # then it is where it always is
        with obtain():
            assert Hierarchy.own("") is not None
        os.environ["DBUS_SYSTEM_BUS_ADDRESS"] = "unix:path=/nonexistent"
        raises(SystemdError, obtain, user=False)
    """)


@at("root", "hybrid")
def test_the_warning_of_cgroups_made_by_hand(run_script: Run) -> None:
    run_script("""
        warnings.simplefilter("always")
        def warned(call):
            with warnings.catch_warnings(record=True) as found:
                warnings.simplefilter("always")
                call()
            return [one for one in found if one.category is SystemdWarning]

        with obtain() as group:
            inside = group.cgroup_of("memory")
            assert warned(lambda: inside.make_sub("inner")) == []
            from cgroups.core import systemd
            systemd.obtained.clear()  # only by its mark
            assert warned(lambda: inside.make_sub("other")) == []
            top = Hierarchy.find_exn("memory")
            made = []
            (warning,) = warned(lambda: made.append(top.make_sub(NAME)))
            assert "Scope.obtain" in str(warning.message) and warning.filename == "<string>", warning
            assert warned(lambda: made.append(top.make_sub(NAME + "-2"))) == []
            for one in made:
                one.remove()
    """)
    run_script("""
        warnings.simplefilter("error")
        top = Hierarchy.find_exn("memory")
        raises(SystemdWarning, top.make_sub, NAME)
        assert not top.child(NAME).exists
    """)


@at("service")
def test_no_warning_in_what_is_the_user_s(run_script: Run) -> None:
    run_script("""
        warnings.simplefilter("error")
        Hierarchy.find_or_create(f":{Hierarchy.own('').location}/inner").remove()
    """)


@at("hybrid")
def test_the_hierarchies_of_a_hybrid_host(run_script: Run) -> None:
    run_script("""
        with obtain() as group:
            found = {(one.version, one.hierarchy.label or ",".join(one.subsystems)) for one in group}
            assert (1, "systemd") in found and (1, "memory") in found and (1, "pids") in found, found
            assert len(found) == (4 if Hierarchy.find(":/") else 3), found
        raises(SubsystemNotAvailable, obtain, NAME, ["freezer"])
    """)
