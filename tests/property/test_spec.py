"""Specs and names: any str is one, or InvalidValue."""

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cgroups.core.errors import InvalidValue
from cgroups.core.specs import NAME_MAX, check_controller, check_name, parse_spec, split_path

any_text = (
    st.text()
    | st.text(st.characters(categories=["Cs", "Ll"]))
    | st.text("ab./:,=\n\0 é\udcff", max_size=20)
    | st.lists(
        st.sampled_from(["memory", "name=systemd", "..", ".", "", "a", ":", "/", ",", "\n", "\0", "x" * 256])
    ).map("".join)
)


def check_components(location: str) -> None:
    assert location.startswith("/")
    assert location == "/" or not location.endswith("/")
    for name in location.split("/")[1:] if location != "/" else ():
        assert name not in ("", ".", "..")
        assert "\0" not in name
        assert "\n" not in name
        assert len(os.fsencode(name)) <= NAME_MAX


@given(any_text)
def test_any_text_is_a_spec_or_invalid(text: str) -> None:
    try:
        spec = parse_spec(text)
    except InvalidValue:
        return
    assert text
    head, colon, path = text.partition(":")
    assert spec.names == (tuple(head.split(",")) if head else ())
    assert all(name and "/" not in name for name in spec.names)
    assert (spec.location is None) == (not colon or not path)
    if spec.location is not None:
        check_components(spec.location)
        assert parse_spec(f"{head}:{spec.location}") == spec


@given(any_text)
def test_any_text_is_a_path_a_name_and_a_controller_or_invalid(text: str) -> None:
    for function in (split_path, check_name, check_controller):
        try:
            result = function(text)
        except InvalidValue:
            continue
        if isinstance(result, list):
            check_components("/" + "/".join(result))
        if function is check_name:
            check_components("/" + text)


component = (
    st.binary(min_size=1, max_size=12)
    .map(lambda text: os.fsdecode(text.translate(None, b"\0\n/")))
    .filter(lambda name: name not in ("", ".", ".."))
)


@given(st.sampled_from(["memory", "", "cpu,cpuacct", "name=systemd"]), st.lists(component, min_size=1, max_size=4))
def test_names_of_any_bytes_round_trip(controllers: str, names: list[str]) -> None:
    spec = parse_spec(f"{controllers}:/{'/'.join(names)}")
    assert spec.names == tuple(filter(None, controllers.split(",")))
    assert spec.location == "/" + "/".join(names)
    assert [os.fsdecode(os.fsencode(name)) for name in names] == split_path(spec.location)
    for name in names:
        check_name(name)


# Escapes of two bytes that are one letter together: the kernel would list it under another name.
@pytest.mark.parametrize("name", ["\udcc3\udca9", "a\udce2\udc82\udcac"])
def test_name_that_the_kernel_would_list_as_another_is_refused(name: str) -> None:
    assert os.fsdecode(os.fsencode(name)) != name
    with pytest.raises(InvalidValue):
        parse_spec(f"memory:/{name}")
    with pytest.raises(InvalidValue):
        check_name(name)


@pytest.mark.parametrize("value", [None, 5, b"memory:/", ("memory",), [], {}, set()], ids=repr)
def test_what_is_no_text_is_invalid(value: Any) -> None:
    for function in (parse_spec, split_path, check_name, check_controller):
        with pytest.raises(InvalidValue):
            function(value)
