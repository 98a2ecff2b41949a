# What runs inside a guest in which systemd is init, as root: after the variables PLACES, WORDS, USER and PACKAGES.
: > /out/booted
cat /proc/self/mountinfo > /out/mountinfo
systemctl --version | head -1 > /out/version
runtime=/run/user/$(id -u "$USER")
for _ in $(seq 60); do
    [ -S "$runtime/bus" ] && break
    sleep 1
done

in_place() { # place command…
    local place=$1
    shift
    case $place in
        root | hybrid) sh -c "$*" ;;
        # PAM begins a session, and so does systemd a scope of the user's slice, which is root's.
        session) runuser -l "$USER" -c "$*" ;;
        service)
            runuser -u "$USER" -- env XDG_RUNTIME_DIR="$runtime" systemd-run --user --quiet --pipe --wait sh -c \
                "export XDG_RUNTIME_DIR=$runtime; $*"
            ;;
    esac
}

for place in $PLACES; do
    in_place "$place" "export CGROUPS_TESTS_PLACE=$place CGROUPS_TESTS_WHOLE=$WHOLE CGROUPS_BACKEND=native PYTHONDONTWRITEBYTECODE=1; \
        export PYTHONPATH=$PACKAGES; cd /; exec timeout 600 python3 -m pytest -c /opt/checkout/pyproject.toml \
        --rootdir /opt/checkout -o 'pythonpath=tests/systemd tests' -p no:cacheprovider -v --durations=20 \
        --junitxml=/out/$place.xml $WORDS" > "/out/$place.log" 2>&1
    echo $? > "/out/$place.status"
done
: > /out/ended
