"""Cgroups as names and files.  This layer knows neither parameters nor operations on cgroups."""
