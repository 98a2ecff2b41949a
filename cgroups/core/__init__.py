"""A cgroup as a name and its files: nothing in here knows of parameters, or of what is done with cgroups."""
