"""Sampling: many numbers of many cgroups in one call, and what comes of the frames."""
