"""The default number of control files that are kept open."""

from __future__ import annotations

import resource

import pytest

from cgroups.core.fd_budget import default_budget


@pytest.mark.parametrize(("soft", "expected"), [(1024, 256), (1 << 20, 65536), (resource.RLIM_INFINITY, 65536), (3, 0)])
def test_default_budget_is_a_quarter_of_the_soft_limit(
    soft: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, soft))
    assert default_budget() == expected
