"""The scales between v1 and v2, over all of their values."""

from __future__ import annotations

import itertools

from cgroups.parameters import block, cpu


def test_cpu_weight_survives_shares() -> None:
    for weight in range(cpu.WEIGHT_MIN, cpu.WEIGHT_MAX + 1):
        shares = cpu.weight_to_shares(weight)
        assert cpu.SHARES_MIN <= shares <= cpu.SHARES_MAX
        assert cpu.shares_to_weight(shares) == weight


def test_cpu_scales_are_pinned() -> None:
    for shares, weight in ((2, 1), (1024, 100), (262144, 10000)):
        assert cpu.shares_to_weight(shares) == weight
        assert cpu.weight_to_shares(weight) == shares


def test_cpu_scales_are_monotone() -> None:
    weights = list(map(cpu.shares_to_weight, range(cpu.SHARES_MIN, cpu.SHARES_MAX + 1)))
    assert all(a <= b for a, b in itertools.pairwise(weights))
    assert (weights[0], weights[-1]) == (1, 10000)
    shares = list(map(cpu.weight_to_shares, range(cpu.WEIGHT_MIN, cpu.WEIGHT_MAX + 1)))
    assert all(a < b for a, b in itertools.pairwise(shares))


def test_blkio_weight_survives_io() -> None:
    weights = [block.to_io_weight(weight) for weight in range(10, 1001)]
    assert (weights[0], weights[-1]) == (1, 10000)
    assert all(a < b for a, b in itertools.pairwise(weights))
    assert [block.to_blkio_weight(weight) for weight in weights] == list(range(10, 1001))


def test_io_weight_maps_into_blkio() -> None:
    weights = list(map(block.to_blkio_weight, range(1, 10001)))
    assert (weights[0], weights[-1]) == (10, 1000)
    assert all(a <= b for a, b in itertools.pairwise(weights))
