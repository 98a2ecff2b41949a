# What runs inside a guest, as root: sourced by the script that guests.py writes, after the
# variables MODE, OUT, PYTHON, TESTS, BACKENDS, WORDS_native and so on, and the mode's mounts.
# Everything is left in OUT, the one directory that a guest can write to for good.
: > "$OUT/booted"
cat /proc/sys/kernel/osrelease > "$OUT/kernel"
cat /proc/self/mountinfo > "$OUT/mountinfo"
find /sys/fs/cgroup -maxdepth 2 -name cgroup.controllers -exec cat {} + > "$OUT/controllers"

# A disk of the guest's own, for what a test writes and for limits on devices.
mkdir /run/scratch
mount /dev/vda /run/scratch || mount -t tmpfs scratch /run/scratch
chmod 1777 /run/scratch

export CI=true CGROUPS_TESTS_OWN_HOST=1 CGROUPS_TESTS_SCALE CGROUPS_TESTS_SKIPS CGROUPS_REQUIRE_NATIVE=1
export PYTHONDONTWRITEBYTECODE=1 PYTEST_DISABLE_PLUGIN_AUTOLOAD=1 TMPDIR=/run/scratch
export PYTHONPATH="$TESTS/vm" PATH="${PYTHON%/*}:$PATH"
cd /run/scratch

for backend in $BACKENDS; do
    echo "$MODE, Linux $(cat "$OUT/kernel"), $backend backend" > "$OUT/$backend.log"
    eval "eval set -- \$WORDS_$backend"
    CGROUPS_BACKEND=$backend "$PYTHON" -m pytest -c "${TESTS%/*}/pyproject.toml" --rootdir "${TESTS%/*}" \
        -p forking -p no:cacheprovider -v --durations=60 --junitxml="$OUT/$backend.xml" "$@" >> "$OUT/$backend.log" 2>&1
    echo $? > "$OUT/$backend.status"
done
: > "$OUT/ended"
