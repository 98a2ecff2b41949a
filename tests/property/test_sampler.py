"""Both samplers make the same cells of any texts, one after the other, whatever layouts they have learned."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cgroups.core import reference
from cgroups.core.interface import Flag, FrameLayout, Shape, Target

KEYS = ("anon", "file", "some", "full", "8:0", "avg10", "total", "rbytes", "Read", "Total", "")

numbers = st.one_of(
    st.integers(0, 1 << 65).map(str),
    st.sampled_from(
        [
            "max",
            "-1",
            "-5",
            "0.00",
            "1.25",
            "99.99",
            "1.2",
            "x",
            "",
            "007",
            *map(str, ((1 << 63) - 1, 1 << 63, (1 << 64) - 1, 1 << 64)),
        ]
    ),
)
words = st.sampled_from([key for key in KEYS if key])
lines = st.one_of(
    numbers,
    st.builds("{} {}".format, words, numbers),
    st.builds("{} {} {}".format, words, words, numbers),
    st.builds("{} {}={} {}={}".format, words, words, numbers, words, numbers),
    st.lists(numbers, max_size=4).map(" ".join),
)
texts = st.one_of(
    st.lists(lines, max_size=5).map(lambda some: "".join(f"{line}\n" for line in some)),
    st.text(alphabet="anon file=some8:0. 17max-\n\t\x01", max_size=40),
)

flags = st.sampled_from(
    [0, Flag.CENTI, Flag.MINUS_ONE_IS_MAX, Flag.ADD, Flag.FALLBACK, Flag.CENTI | Flag.MINUS_ONE_IS_MAX, Flag.SIGNED]
)


@st.composite
def programs(draw: st.DrawFn) -> tuple[Shape, list[Target]]:
    """Targets of one control file; those of one number together."""
    shape = draw(st.sampled_from([Shape.VALUE, Shape.VALUES, Shape.KEYED, Shape.NESTED, Shape.TRIPLES]))
    places = draw(
        st.lists(st.tuples(st.sampled_from(KEYS), st.sampled_from(KEYS), st.integers(0, 2)), unique=True, max_size=5)
    )
    targets = []
    for row, key, ordinal in places or [("", "", 0)]:
        for again in range(draw(st.integers(1, 2))):
            scale = draw(st.sampled_from([1, 10, 1000, 1 << 40]))
            threshold = draw(st.sampled_from([0, 100, 1 << 62]))
            column = draw(st.integers(-1, 3))
            same = Flag.SHARED_NUMBER if again else 0
            targets.append(Target(row, key, 0 if key else ordinal, column, draw(flags) | same, scale, threshold))
    return shape, targets


def test_a_frame_has_room_for_what_c_has_of_it() -> None:
    native = pytest.importorskip("cgroups._native")
    assert native.ffi.sizeof("struct cg_frame") <= FrameLayout.HEAD
    assert native.ffi.offsetof("struct cg_frame", "unknown") == FrameLayout.UNKNOWN


def frame_of(sampler: Any, rows: int) -> tuple[Any, ...]:
    memory, places = sampler.sample(rows)
    begin, took = memory[:16].cast("q")
    times = memory[places.times : places.errors].cast("q").tolist()
    assert times == sorted(times)
    assert begin <= times[0] <= times[-1] <= begin + took
    # The inodes too; not the times.
    parts = bytes(memory)[places.values : places.times], bytes(memory)[places.errors : places.size]
    assert memory[places.UNKNOWN : places.UNKNOWN + 8].cast("Q")[0] == len(sampler.unknown())
    return *parts, sampler.unknown()


ONE_COLUMN = [(Shape.VALUE, [Target("", "", 0, 0, 0, 1, 0)])] * 2


@pytest.mark.slow
@settings(max_examples=16 * settings().max_examples)
@given(
    st.lists(programs(), min_size=1, max_size=3),
    st.lists(st.lists(st.one_of(texts, st.none()), min_size=3, max_size=3), min_size=1, max_size=5),
)
@example(made=ONE_COLUMN, rounds=[["", "0\n", ""]])  # a file that fails, and another with a number
@example(made=ONE_COLUMN, rounds=[["0", "0\n", ""]])  # one that is read again
def test_both_samplers_see_the_same(
    tmp_path_factory: pytest.TempPathFactory,
    made: list[tuple[Shape, list[Target]]],
    rounds: list[list[str | None]],
) -> None:
    native = pytest.importorskip("cgroups.core.native")
    place = tmp_path_factory.mktemp("tree")
    (place / "a").mkdir()
    samplers = []
    native.set_fd_budget(0)  # a plain file that is gone, and was kept open, would still answer
    for backend in (native, reference):
        sampler = backend.Sampler(4)
        sources = [(f"f{at}", backend.Program(shape, targets)) for at, (shape, targets) in enumerate(made)]
        samplers.append((sampler, backend.open_directory(str(place), 0), sources))
    try:
        write(place, rounds[0])
        for sampler, directory, sources in samplers:
            sampler.add(directory, "a", sources)
        for texts_now in rounds:
            write(place, texts_now)
            for _ in range(2):  # learned, and known
                frames = [frame_of(sampler, 1) for sampler, *_ in samplers]
                assert frames[0] == frames[1]
    finally:
        native.set_fd_budget(1024)


VALUE = (Shape.VALUE, [Target("", "", 0, 0, 0, 1, 0)])
KEYED = (Shape.KEYED, [Target("", "anon", 0, 0, 0, 1, 0)])
NESTED = (Shape.NESTED, [Target("some", "total", 0, 0, 0, 1, 0)])


@pytest.mark.slow
@settings(max_examples=8 * settings().max_examples)
@given(programs(), st.lists(st.tuples(texts, texts), min_size=1, max_size=5))
@example(VALUE, [("5\n", "5\n"), ("5.00\n", "-5\n"), ("max\n", "1.25\n")])
@example(KEYED, [("anon 5\n", "anon 6\n"), ("anon 5.00\n", "anon 6\n")])
@example(NESTED, [("some total=5\n", "some total=6\n"), ("some total=5.00\n", "some total=max\n")])
@example(KEYED, [("anon 5\nnew 1\n", "anon 6\nnew 1\n")])
def test_sampler_that_has_learned_sees_what_a_fresh_one_sees(
    tmp_path_factory: pytest.TempPathFactory, made: tuple[Shape, list[Target]], rounds: list[tuple[str, str]]
) -> None:
    """A layout takes what the shape takes, no more; also where a row meets the layout that another one has taught."""
    native = pytest.importorskip("cgroups.core.native")
    place = tmp_path_factory.mktemp("tree")
    directory, program = native.open_directory(str(place), 0), native.Program(*made)

    def sampler(*names: str) -> Any:
        new = native.Sampler(4)
        for name in names:
            new.add(directory, name, [("f", program)])
        return new

    for name in ("a", "b"):
        (place / name).mkdir()
        (place / name / "f").touch()
    learned, unknown = sampler("a", "b"), set()
    for texts_now in rounds:
        fresh = []
        for row, (name, text) in enumerate(zip(("a", "b"), texts_now)):
            (place / name / "f").write_text(text)
            one = sampler(name)
            fresh += cells_of(one, 1)
            unknown |= {(row, at) for _, at in one.unknown()}
        for _ in range(2):
            assert cells_of(learned, 2) == fresh
        assert set(learned.unknown()) == unknown


def cells_of(sampler: Any, rows: int) -> list[tuple[Any, ...]]:
    """Each row's values, errnos and statuses."""
    memory, places = sampler.sample(rows)
    data, columns = bytes(memory), places.columns
    parts = ((places.values, 8 * columns), (places.errors, 4 * columns), (places.statuses, columns))
    return [tuple(data[at + row * size : at + (row + 1) * size] for at, size in parts) for row in range(rows)]


def write(place: Path, texts_now: list[str | None]) -> None:
    """In place, as the kernel does: a control file keeps its inode, and one that is not there does not come."""
    for at, text in enumerate(texts_now):
        (place / "a" / f"f{at}").write_text("" if text is None else text)
