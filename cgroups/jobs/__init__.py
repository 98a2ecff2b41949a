"""Run one command in new cgroups, and measure it."""
