import math
from concurrent.futures import ThreadPoolExecutor

import cgroups

capacity = cgroups.capacity()
workers = max(1, math.floor(min(capacity.cpus, capacity.memory / 2**28)))
with ThreadPoolExecutor(workers) as pool:
    print(workers, "workers:", sum(pool.map(abs, range(100))))
