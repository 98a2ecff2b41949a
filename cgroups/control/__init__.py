"""What is done to cgroups and their processes: end, stop, empty, move, remove.

Every function is bounded by a deadline, is idempotent, and tolerates cgroups
and processes that appear or disappear while it runs.
"""
