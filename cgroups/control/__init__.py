"""Operations on cgroups and their processes: create, freeze, kill, move, remove.

Every function is bounded by a deadline, is idempotent, and tolerates cgroups
and processes that appear or disappear while it runs.
"""
