"""The full screen, driven by textual's Pilot: keys, mouse, and what a screenshot shows."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from screens import look, text_of, usage

from cgroups import Host

pytest.importorskip("textual")

from textual.pilot import Pilot

from cgroups.cli.common.activity import Activity
from cgroups.cli.screen.app import WatchApp
from cgroups.cli.screen.history import History, Look
from cgroups.cli.screen.live import _Source
from cgroups.cli.screen.machine import Machine
from cgroups.cli.screen.page import Processes
from cgroups.cli.screen.table import Table

pytestmark = pytest.mark.slow

Test = Callable[["Seen"], Awaitable[None]]

MACHINE = Machine(2, 1.9, 3 << 30, 8 << 30, 0, 1 << 30, 0.5, 0.2, 0.0, 0.0)


def looks(count: int = 1, since: int = 0) -> Iterator[Look]:
    """Two jobs, one of which is throttled, and a cgroup whose memory is near its limit."""
    for number in range(since, since + count):
        yield look(
            1000.0 + number,
            usage("/", cpu=2.0),
            usage("/jobs", cpu=1.5, memory=30 << 20),
            usage("/jobs/one", cpu=0.25, memory=10 << 20, pids=3),
            usage("/jobs/two", cpu=1.25, memory=20 << 20, throttled=0.4, pids=4),
            usage("/web", cpu=0.5, memory=95 << 20, limit=100 << 20, effective_limit=100 << 20, oom_kills_total=number),
            machine=MACHINE,
        )


class Seen:
    """A running app, its pilot, and what it shows."""

    def __init__(self, app: WatchApp, pilot: Pilot[None]) -> None:
        self.app, self.pilot = app, pilot

    async def press(self, *keys: str) -> list[str]:
        """Press keys, and return the lines of the screen."""
        await self.pilot.press(*keys)
        return await self.lines()

    async def lines(self) -> list[str]:
        await self.pilot.pause()
        return text_of(self.app.export_screenshot())

    async def names(self) -> list[str]:
        """The first words of the rows of the table."""
        lines = await self.lines()
        begin = next(at for at, line in enumerate(lines) if line.startswith("CGROUP")) + 1
        return [line.replace("▾", "").replace("▸", "").split()[0] for line in lines[begin:-2] if line.strip()]

    @property
    def selected(self) -> str:
        row = self.app.screen_stack[0].query_one(Table).selected
        assert row is not None
        return row.usage.location


def run(test: Test, app: WatchApp | None = None, size: tuple[int, int] = (140, 30), given: int = 1) -> None:
    """Run a test in an app of the host of no cgroup that the looks have."""

    async def main() -> None:
        one = app or WatchApp(Host("/"))
        async with one.run_test(size=size) as pilot:
            if app is None:
                for each in looks(given):
                    one.add(each)
            await pilot.pause()
            await test(Seen(one, pilot))

    asyncio.run(main())


# ---- the table -----------------------------------------------------------------------------------


def test_screen_shows_a_tree_with_the_busiest_first() -> None:
    async def test(seen: Seen) -> None:
        assert await seen.names() == ["/", "jobs", "two", "one", "web"]
        lines = await seen.lines()
        assert "5 cgroups" in lines[0]
        assert "CPU 1.90 of 2" in next(line for line in lines if line.startswith(" machine"))
        assert "swap 0 B of 1.0 GiB" in "".join(lines)
        two = next(line for line in lines if line.strip().startswith("two"))
        assert two.split()[:4] == ["two", "1.25", "40%", "20.0"]

    run(test)


def test_screen_sums_what_the_kernel_does_not_count() -> None:
    async def test(seen: Seen) -> None:
        lines = await seen.lines()
        root = next(line for line in lines if line.startswith("▾ /"))
        assert "Σ125.0 MiB" in root

    run(test)


def test_screen_red_marks_what_needs_attention() -> None:
    async def test(seen: Seen) -> None:
        table = seen.app.query_one(Table)
        red = {part.text.strip() for line in table._lines for part in line if part.role == "red"}
        assert red == {"40%", "95.0 MiB", "95%"}

    run(test)


def test_screen_sorts_by_keys_and_by_a_click_on_a_heading() -> None:
    async def test(seen: Seen) -> None:
        await seen.press("M")
        assert await seen.names() == ["/", "web", "jobs", "two", "one"]
        await seen.press("I")
        assert await seen.names() == ["/", "jobs", "one", "two", "web"]
        await seen.press("N")
        assert await seen.names() == ["/", "jobs", "one", "two", "web"]
        await seen.press("less_than_sign", "greater_than_sign", "f6")  # from the name to the column after it
        assert await seen.names() == ["/", "jobs", "two", "one", "web"]
        heading = next(line for line in await seen.lines() if line.startswith("CGROUP"))
        await seen.pilot.click(Table, offset=(heading.index("MEMORY"), 0))
        assert await seen.names() == ["/", "web", "jobs", "two", "one"]

    run(test)


def test_screen_folds_by_key_and_by_a_click_on_a_mark() -> None:
    async def test(seen: Seen) -> None:
        await seen.press("down", "left")
        assert await seen.names() == ["/", "jobs", "web"]
        await seen.press("right")
        assert await seen.names() == ["/", "jobs", "two", "one", "web"]
        await seen.press("down", "left")  # a leaf: to its parent
        assert seen.selected == "/jobs"
        await seen.press("asterisk")
        assert await seen.names() == ["/", "jobs", "web"]
        await seen.press("asterisk")
        await seen.pilot.click(Table, offset=(2, 2))
        assert await seen.names() == ["/", "jobs", "web"]

    run(test)


def test_screen_list_has_no_tree() -> None:
    async def test(seen: Seen) -> None:
        await seen.press("t")
        assert await seen.names() == ["/", "/jobs", "/jobs/two", "/web", "/jobs/one"]

    run(test)


def test_screen_filter_selects_a_match_not_its_ancestor() -> None:
    async def test(seen: Seen) -> None:
        assert seen.selected == "/"
        await seen.press("slash", *"one", "enter")
        assert seen.selected == "/jobs/one"
        await seen.press("up")  # an ancestor only by choice
        assert seen.selected == "/jobs"

    run(test)


def test_screen_prompt_first_letter_replaces_the_old_answer() -> None:
    async def test(seen: Seen) -> None:
        await seen.press("slash", *"one", "enter")
        lines = await seen.press("slash", *"web", "enter")
        assert "match web" in lines[0]
        lines = await seen.press("slash", "backspace", "enter")
        assert "match we " in lines[0]

    run(test)


def test_screen_question_and_error_longer_than_a_line_are_whole(v2: Host) -> None:
    app = WatchApp(v2)

    async def test(seen: Seen) -> None:
        seen.app.add(look(1.0, usage("/job/a", memory=1)))
        lines = await seen.press("l", *"memory", "full_stop", *"max", "equals_sign", *"2M", "enter")
        assert "".join(lines[-4:]).replace("\n", "").rstrip().endswith("to 2.0 MiB? [y/N]")
        lines = await seen.press("n")
        assert "Enter" in lines[-1]
        lines = await seen.press("l", *"memory", "full_stop", *"max", "equals_sign", *"lots", "enter")
        whole = "".join("".join(lines[-8:]).split())
        assert "cannotsetmemory.max" in whole
        assert whole.endswith("got'lots'")

    run(test, app, size=(30, 20))


def test_screen_keys_that_sort_show_the_busiest_first_again() -> None:
    async def test(seen: Seen) -> None:
        for _ in range(2):
            await seen.press("M")
            assert await seen.names() == ["/", "web", "jobs", "two", "one"]
        await seen.press("I")
        assert await seen.names() == ["/", "jobs", "one", "two", "web"]

    run(test)


def test_screen_change_of_the_past_says_that_it_is_one_of_now(v2: Host) -> None:
    app = WatchApp(v2)

    async def test(seen: Seen) -> None:
        for at in (1.0, 4.0):
            seen.app.add(look(at, usage("/job/a", memory=1)))
        lines = await seen.press("left_square_bracket", "u")
        assert lines[-1].strip() == "Now, not 3 s ago: Thaw /job/a? [y/N]"

    run(test, app)


def test_screen_title_says_that_figures_are_late() -> None:
    async def test(seen: Seen) -> None:
        assert "late" in (await seen.lines())[0]
        seen.app.add(next(looks())._replace(time=time.time() + 60))
        assert "late" not in (await seen.lines())[0]

    run(test)


def test_screen_look_that_comes_while_the_app_ends_is_harmless() -> None:
    async def test(seen: Seen) -> None:
        await seen.app.screen.query("*").remove()
        seen.app.add(next(looks()))
        seen.app.tell("too late")

    run(test)


def test_screen_hidden_columns_are_counted() -> None:
    async def test(seen: Seen) -> None:
        heading = next(line for line in await seen.lines() if line.startswith("CGROUP"))
        assert heading.rstrip().endswith(" +5")

    run(test, size=(90, 20))


def test_screen_filter_applies_while_it_is_typed() -> None:
    async def test(seen: Seen) -> None:
        lines = await seen.press("slash", "t", "w", "q")
        assert lines[-1].startswith("Filter: twq")
        assert await seen.names() == []
        lines = await seen.press("backspace", "enter")
        assert await seen.names() == ["/", "jobs", "two"]
        assert "1 of 5 match tw" in lines[0]
        assert "together: cpu 1.25, memory 20.0 MiB, pids 4" in lines[0]
        await seen.press("f4", "x", "escape")  # Escape keeps the filter of before
        assert await seen.names() == ["/", "jobs", "two"]
        await seen.press("escape")
        assert len(await seen.names()) == 5

    run(test)


def test_screen_selection_follows_its_cgroup() -> None:
    async def test(seen: Seen) -> None:
        await seen.press("end")
        assert seen.selected == "/web"
        await seen.press("M")
        assert seen.selected == "/web"
        (one,) = looks(1, since=1)
        seen.app.add(one._replace(usages={place: each for place, each in one.usages.items() if place != "/web"}))
        await seen.pilot.pause()
        assert seen.selected == "/jobs"  # the row that is in its place now

    run(test)


def test_screen_tabs_have_their_columns() -> None:
    async def test(seen: Seen) -> None:
        lines = await seen.press("3")
        assert any("OOM KILLS" in line for line in lines)
        lines = await seen.press("tab")
        assert any("WRITES/S" in line for line in lines)
        lines = await seen.press("shift+tab", "shift+tab")
        assert any("CPU LIMIT" in line for line in lines)
        tabs = next(line for line in lines if "1 general" in line)
        await seen.pilot.click("#tabs", offset=(tabs.index("limits"), 0))
        assert any("LIMITED BY" in line for line in await seen.lines())

    run(test)


def test_screen_scrolls_to_the_selection_and_draws_only_visible_rows() -> None:
    async def test(seen: Seen) -> None:
        seen.app.add(look(1.0, *(usage(f"/job-{at:03}", cpu=1 / (at + 1)) for at in range(100))))
        await seen.press("end")
        assert (await seen.names())[-1] == "/job-099"
        await seen.press("pageup", "home")
        assert (await seen.names())[0] == "/job-000"
        table = seen.app.query_one(Table)
        assert len(table._lines) == table.size.height
        table.on_mouse_scroll_down()
        assert seen.selected == "/job-003"

    run(test)


def test_screen_look_without_changes_draws_nothing_of_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(seen: Seen) -> None:
        table = seen.app.query_one(Table)
        await seen.press("N")  # by name: without a sparkline
        drawn: list[Any] = []
        monkeypatch.setattr(table, "refresh", lambda *regions, **_: drawn.extend(regions))
        seen.app.add(next(looks(1)))
        assert drawn == []
        changed = next(looks(1))
        one = changed.usages["/jobs/one"]._replace(cpu=0.75)
        seen.app.add(changed._replace(usages={**changed.usages, "/jobs/one": one}))
        assert [region.height for region in drawn] == [1]
        assert [region.y for region in drawn] == [3]

    run(test)


@pytest.mark.parametrize("width", [20, 40, 80, 200])
def test_screen_fits_each_width(width: int) -> None:
    async def test(seen: Seen) -> None:
        table = seen.app.query_one(Table)
        assert {sum(len(part.text) for part in line) for line in table._lines} == {width}
        heading = "".join(part.text for part in table._lines[0])
        assert ("IO PSI" in heading) is (width == 200)
        assert ("CPU" in heading) is (width > 20)

    run(test, size=(width, 20))


def test_screen_resized_draws_more_rows() -> None:
    async def test(seen: Seen) -> None:
        assert len(await seen.names()) == 1
        await seen.pilot.resize_terminal(100, 30)
        assert len(await seen.names()) == 5

    run(test, size=(100, 7))


def test_screen_name_with_an_escape_sequence_is_harmless() -> None:
    async def test(seen: Seen) -> None:
        seen.app.add(look(1.0, usage("/bad\x1b[31m")))
        assert any(r"/bad\x1b[31m" in line for line in await seen.lines())

    run(test)


# ---- time ----------------------------------------------------------------------------------------


def test_screen_paused_steps_back_and_forward() -> None:
    async def test(seen: Seen) -> None:
        lines = await seen.press("p", "left_square_bracket", "left_square_bracket")
        assert "PAUSED" in lines[0]
        assert "2 s ago" in lines[0]
        shown = seen.app.history.shown
        assert shown is not None
        assert shown.time == 1002.0
        seen.app.add(next(looks(1, since=5)))
        assert "3 s ago" in (await seen.lines())[0]
        lines = await seen.press("right_curly_bracket")
        assert "0 s ago" in lines[0]
        lines = await seen.press("space")
        assert "PAUSED" not in lines[0]

    run(test, given=5)


def test_screen_sparkline_shows_the_past() -> None:
    async def test(seen: Seen) -> None:
        for number in range(300):
            seen.app.add(look(float(number), usage("/a", cpu=float(number < 240))))
        lines = await seen.lines()
        assert any("██▁▁" in line for line in lines)

    run(test, size=(160, 30), given=0)


def test_screen_incident_stays_on_its_line() -> None:
    async def test(seen: Seen) -> None:
        assert "OOM kill in /web (2 times)" in (await seen.lines())[-2]
        for number in range(5):
            seen.app.add(look(2000.0 + number, usage("/web", oom_kills_total=2)))
        assert "OOM kill in /web (2 times)" in (await seen.lines())[-2]
        assert any("OOM kill in /web (2 times)" in line for line in await seen.press("e"))

    run(test, given=3)


def test_screen_replay_plays_pauses_and_steps() -> None:
    app = WatchApp(None, history=History(looks(40)), interval=0.01)

    async def test(seen: Seen) -> None:
        assert "REPLAY" in (await seen.lines())[0]
        await seen.pilot.pause(0.3)
        await seen.press("space")
        assert app.history.number > 0
        await seen.press("left_curly_bracket", "left_curly_bracket", "left_curly_bracket", "left_curly_bracket")
        assert app.history.number == 0
        assert "Freeze" not in (await seen.lines())[-1]
        for key in ("f", "f9", "l"):
            lines = await seen.press(key)
            assert lines[-1].strip() == "a recording cannot be changed"
        await seen.press("down", "enter")
        lines = await seen.lines()
        assert "Figures" in [line.strip() for line in lines]
        assert not any(line.startswith("CGROUP") for line in lines)

    run(test, app)


def test_screen_replay_has_times_of_the_recording() -> None:
    kills = [look(at, usage("/a", cpu=1.0, oom_kills_total=int(at >= 12))) for at in (0.0, 6.0, 12.0)]
    app = WatchApp(None, history=History(kills))

    async def test(seen: Seen) -> None:
        lines = await seen.press("right_curly_bracket")
        assert any("12.0 s OOM kill in /a" in line for line in lines)
        for key in ("e", "enter"):
            lines = await seen.press("escape", key)
            assert any(line.split()[:4] == ["12.0", "s", "OOM", "kill"] for line in lines), key

    run(test, app)


def test_screen_page_is_drawn_once_when_it_opens(v2: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each drawing reads files of all processes."""
    app = WatchApp(v2)
    drawn: list[Any] = []

    def lines(*words: Any) -> list[Any]:
        drawn.append(words)
        return []

    monkeypatch.setattr(Processes, "lines", lines)

    async def test(seen: Seen) -> None:
        seen.app.add(look(1.0, usage("/job/a", memory=1)))
        await seen.press("enter")
        assert len(drawn) == 1

    run(test, app)


# ---- pages ---------------------------------------------------------------------------------------


def test_screen_help_lists_keys_and_scrolls() -> None:
    async def test(seen: Seen) -> None:
        lines = await seen.press("f1")
        assert any("freeze the selected cgroup" in line for line in await seen.press("end")) is False
        assert any("the page of the selected cgroup" in line for line in lines)
        assert any("the sum of the children" in line for line in await seen.lines())
        await seen.press("home")
        lines = await seen.press("escape")
        assert any(line.startswith("CGROUP") for line in lines)

    run(test)


def test_screen_page_of_a_cgroup_has_its_past() -> None:
    async def test(seen: Seen) -> None:
        await seen.press("end")
        lines = await seen.press("enter")
        text = "\n".join(lines)
        assert "/web" in text
        assert "OOM kill in /web (2 times)" in text
        assert "since its creation: OOM kills 2" in text
        seen.app.add(look(3000.0, usage("/web", cpu=0.125)))
        assert any("0.12" in line for line in await seen.lines())
        seen.app.add(look(3001.0, usage("/", cpu=0.125)))
        assert any("did not exist" in line for line in await seen.lines())
        await seen.press("escape")
        assert seen.app.query_one(Table)

    run(test, given=3)


# ---- changes -------------------------------------------------------------------------------------


def test_screen_change_without_a_yes_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    from cgroups.cli.screen import app as module
    from cgroups.cli.screen.actions import Action

    done: list[str] = []

    def freeze(_: Host, location: str) -> Action:
        return Action(f"Freeze {location}?", lambda: done.append(location) or f"{location} is frozen")

    monkeypatch.setitem(module.ACTIONS, "freeze", freeze)

    async def test(seen: Seen) -> None:
        lines = await seen.press("down", "f")
        assert lines[-1].startswith("Freeze /jobs? [y/N]")
        for key in ("n", "escape", "enter"):
            await seen.press(key, "f")
        assert done == []
        await seen.press("y")
        await seen.app.workers.wait_for_complete([one for one in seen.app.workers if one.name == "_run_action"])
        assert done == ["/jobs"]
        assert (await seen.lines())[-1].strip() == "/jobs is frozen"

    run(test)


def test_screen_error_is_one_line() -> None:
    async def test(seen: Seen) -> None:
        await seen.press("down", "f", "y")
        await seen.app.workers.wait_for_complete()
        lines = await seen.lines()
        assert lines[-1].strip() == "cannot freeze /jobs: the cgroup was removed"

    run(test)


def test_screen_word_that_is_no_signal_is_one_line() -> None:
    async def test(seen: Seen) -> None:
        lines = await seen.press("f9", *["backspace"] * 4, "F", "O", "O", "enter")
        assert lines[-1].strip().startswith("signal must be a name or a number")

    run(test)


def test_screen_change_on_a_page_is_of_its_cgroup() -> None:
    """Also if the cgroup is gone, and another one is selected in the table."""

    async def test(seen: Seen) -> None:
        await seen.press("end", "enter")
        assert seen.selected == "/web"
        seen.app.add(look(2000.0, usage("/", cpu=1.0), usage("/jobs", cpu=1.0)))
        await seen.press("k", "enter")
        assert "/web" in (await seen.lines())[-1]
        await seen.press("escape", "h")
        assert (await seen.press("f"))[-1].strip() == "no cgroup is selected"

    run(test)


# ---- a host --------------------------------------------------------------------------------------


def test_screen_of_a_captured_host_shows_its_cgroups(v2: Host) -> None:
    job = v2.find_exn(":/job/a")

    async def main() -> list[str]:
        with closing(Activity(v2, None, None, is_detailed=True)) as activity:
            source = _Source(v2, activity, 0.05, 3)
            app = WatchApp(v2, source.looks(), interval=0.05, tab="limits")
            async with app.run_test(size=(160, 20)) as pilot:
                while len(app.history) < 2:
                    await pilot.pause(0.05)
                return text_of(app.export_screenshot())

    Path(str(job.path), "memory.max").write_text("1048576\n")
    lines = asyncio.run(main())
    row = next(line for line in lines if line.strip().startswith("a "))
    assert "1.0 MiB" in row
    assert "/job/a" in row


def test_screen_count_ends_after_its_looks(v2: Host) -> None:
    async def main() -> int:
        with closing(Activity(v2, None, None, is_detailed=True)) as activity:
            app = WatchApp(v2, _Source(v2, activity, 0.05, 2).looks(), interval=0.05)
            async with app.run_test() as pilot:
                for _ in range(100):
                    if not app.is_running:
                        break
                    await pilot.pause(0.05)
            return len(app.history)

    assert asyncio.run(main()) == 2


def test_screen_limit_that_is_refused_after_a_yes_says_why(v2: Host) -> None:
    app = WatchApp(v2)

    async def test(seen: Seen) -> None:
        seen.app.add(look(1.0, usage("/job/a", memory=1)))
        lines = await seen.press("l", *"memory", "full_stop", *"max", "equals_sign", *"2M", "enter")
        assert "Set memory.max of /job/a from " in lines[-1]
        await seen.press("y")
        await seen.app.workers.wait_for_complete()
        assert "(a captured tree is read-only)" in " ".join(await seen.lines())

    run(test, app)
