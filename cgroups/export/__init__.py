"""Export: the numbers of many cgroups for monitoring systems, under the names that these systems expect."""
