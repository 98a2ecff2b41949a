"""Watch cgroups: samples, rates, records, events, and limits in effect.  No function here changes a cgroup."""
