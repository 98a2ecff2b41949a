"""Identities of paths: the forms that systemd, the container runtimes and the kubelet give to them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cgroups import Host, Identity
from cgroups.core import identity
from cgroups.core.identity import identify

ID = "4f0f5e1c9d2b7a6883e5d4c3b2a19081726354453627180990a1b2c3d4e5f607"
OTHER = "a" * 64
UID = "0b0f7a52-4c1e-4b0e-9f57-2f6d8c1a9e33"
IN_SLICE = UID.replace("-", "_")
HASH = "0123456789abcdef0123456789abcdef"
UUID = "15aa6e53-b09a-40c7-8558-c6c31e36c88a"

BURSTABLE = "/kubepods.slice/kubepods-burstable.slice"
KIND = "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice"

USERS: dict[str, Any] = {"uid": 1000, "system_unit": "user@1000.service"}
SHORT_ID = f"{HASH}-1234567890"

FORMS = {
    # systemd
    "/system.slice": Identity("slice", slice="system.slice"),
    "/system.slice/nginx.service": Identity("unit", "nginx.service", "system.slice"),
    "/init.scope": Identity("unit", "init.scope"),
    "/user.slice/user-1000.slice/session-1.scope": Identity(
        "unit", "session-1.scope", "user-1000.slice", session="1", uid=1000
    ),
    "/user.slice/user-1000.slice": Identity("slice", slice="user-1000.slice", uid=1000),
    "/user.slice/user-1000.slice/user@1000.service/app.slice/app-foot.service": Identity(
        "unit", "app-foot.service", "app.slice", **USERS
    ),
    "/user.slice/user-1000.slice/user@1000.service": Identity("unit", "user@1000.service", "user-1000.slice", uid=1000),
    "/user.slice/user-1000.slice/user@1000.service/app.slice": Identity("slice", slice="app.slice", **USERS),
    "/system.slice/system-getty.slice/getty@tty1.service": Identity("unit", "getty@tty1.service", "system-getty.slice"),
    r"/system.slice/dev-disk-by\x2duuid.swap": Identity("unit", "dev-disk-by-uuid.swap", "system.slice"),
    r"/machine.slice/machine-qemu\x2d1\x2dvm.scope": Identity(
        "machine", "machine-qemu-1-vm.scope", "machine.slice", "libvirt", machine="vm"
    ),
    r"/caf\xc3\xa9.slice/x.service": Identity("unit", "x.service", "café.slice"),
    "/system.slice/_cgroup.service": Identity("unit", "cgroup.service", "system.slice"),
    "/system.slice/docker.service/a/b": Identity("unit", "docker.service", "system.slice", below="a/b"),
    # docker
    f"/docker/{ID}": Identity("container", runtime="docker", container=ID),
    f"/system.slice/docker-{ID}.scope": Identity(
        "container", f"docker-{ID}.scope", "system.slice", "docker", container=ID
    ),
    f"/docker/{ID}/system.slice/nginx.service": Identity("unit", "nginx.service", "system.slice", "docker", ID),
    f"/docker/{OTHER}/docker/{ID}": Identity("container", runtime="docker", container=ID),
    f"/jobs/{ID}": Identity("container", container=ID),
    f"/system.slice/docker-{ID}.scope/x.service": Identity("unit", "x.service", None, "docker", ID),
    f"/system.slice/docker-{OTHER}.scope/docker-{ID}.scope": Identity(
        "container", f"docker-{ID}.scope", None, "docker", ID
    ),
    # what is within a container is not of the host's slice, nor another one's unit
    f"/docker/{ID}/init.scope": Identity("unit", "init.scope", None, "docker", ID),
    f"/system.slice/docker-{ID}.scope/init.scope": Identity("unit", "init.scope", None, "docker", ID),
    f"/machine.slice/libpod-{ID}.scope/container/init.scope": Identity("unit", "init.scope", None, "podman", ID),
    "/machine.slice/systemd-nspawn@x.service/payload/init.scope": Identity(
        "unit", "init.scope", None, "nspawn", machine="x"
    ),
    "/user.slice/user-1000.slice/user@1000.service/init.scope": Identity("unit", "init.scope", **USERS),
    f"/system.slice/docker-{OTHER}.scope/docker/{ID}": Identity("container", runtime="docker", container=ID),
    f"/system.slice/docker-{OTHER}.scope/kubelet/kubepods/burstable/pod{UID}/{ID}": Identity(
        "container", container=ID, pod=UID, qos="burstable"
    ),
    f"/system.slice/containerd.service/docker/{ID}": Identity(
        "container", "containerd.service", "system.slice", "docker", ID
    ),
    f"/system.slice/docker-{ID}.scope/inside": Identity(
        "container", f"docker-{ID}.scope", "system.slice", "docker", ID, below="inside"
    ),
    # podman
    f"/libpod_parent/libpod-{ID}": Identity("container", runtime="podman", container=ID),
    f"/machine.slice/libpod-{ID}.scope": Identity(
        "container", f"libpod-{ID}.scope", "machine.slice", "podman", container=ID
    ),
    f"/machine.slice/libpod-{ID}.scope/container": Identity(
        "container", f"libpod-{ID}.scope", "machine.slice", "podman", ID, below="container"
    ),
    f"/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{ID}.scope/container": Identity(
        "container", f"libpod-{ID}.scope", "user.slice", "podman", ID, below="container", **USERS
    ),
    f"/system.slice/web.service/libpod-payload-{ID}": Identity(
        "container", "web.service", "system.slice", "podman", container=ID
    ),
    f"/libpod_parent/{OTHER}": Identity("pod", runtime="podman", pod=OTHER),
    f"/libpod_parent/{OTHER}/libpod-{ID}": Identity("container", runtime="podman", container=ID, pod=OTHER),
    f"/libpod_parent/{OTHER}/conmon": Identity("pod", runtime="podman", pod=OTHER, below="conmon"),
    f"/machine.slice/libpod-conmon-{ID}.scope": Identity("unit", f"libpod-conmon-{ID}.scope", "machine.slice"),
    f"/machine.slice/machine-libpod_pod_{OTHER}.slice": Identity(
        "pod", slice=f"machine-libpod_pod_{OTHER}.slice", runtime="podman", pod=OTHER
    ),
    f"/machine.slice/machine-libpod_pod_{OTHER}.slice/libpod-{ID}.scope": Identity(
        *("container", f"libpod-{ID}.scope", f"machine-libpod_pod_{OTHER}.slice", "podman", ID, OTHER)
    ),
    # containerd
    f"/k8s.io/{ID}": Identity("container", runtime="containerd", container=ID),
    f"/default/{ID}": Identity("container", runtime="containerd", container=ID),
    f"/system.slice/nerdctl-{ID}.scope": Identity(
        "container", f"nerdctl-{ID}.scope", "system.slice", "containerd", container=ID
    ),
    # Kubernetes, systemd driver
    "/kubepods.slice": Identity("slice", slice="kubepods.slice"),
    "/kubepods.slice/kubepods-burstable.slice": Identity("qos", slice="kubepods-burstable.slice", qos="burstable"),
    f"/kubepods.slice/kubepods-pod{IN_SLICE}.slice": Identity(
        "pod", slice=f"kubepods-pod{IN_SLICE}.slice", pod=UID, qos="guaranteed"
    ),
    f"/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod{HASH}.slice": Identity(
        "pod", slice=f"kubepods-besteffort-pod{HASH}.slice", pod=HASH, qos="besteffort"
    ),
    f"{BURSTABLE}/kubepods-burstable-pod{IN_SLICE}.slice/cri-containerd-{ID}.scope": Identity(
        *("container", f"cri-containerd-{ID}.scope", f"kubepods-burstable-pod{IN_SLICE}.slice"),
        *("containerd", ID, UID, "burstable"),
    ),
    f"/kubepods.slice/kubepods-pod{IN_SLICE}.slice/crio-{ID}.scope": Identity(
        *("container", f"crio-{ID}.scope", f"kubepods-pod{IN_SLICE}.slice", "cri-o", ID, UID, "guaranteed")
    ),
    f"/kubepods.slice/kubepods-pod{IN_SLICE}.slice/crio-conmon-{ID}.scope": Identity(
        *("unit", f"crio-conmon-{ID}.scope", f"kubepods-pod{IN_SLICE}.slice", None, None, UID, "guaranteed")
    ),
    f"/kubepods.slice/kubepods-pod{IN_SLICE}.slice/docker-{ID}.scope": Identity(
        *("container", f"docker-{ID}.scope", f"kubepods-pod{IN_SLICE}.slice", "docker", ID, UID, "guaranteed")
    ),
    f"{KIND}/kubelet-kubepods-burstable-pod{IN_SLICE}.slice": Identity(
        "pod", slice=f"kubelet-kubepods-burstable-pod{IN_SLICE}.slice", pod=UID, qos="burstable"
    ),
    # Kubernetes, cgroupfs driver
    "/kubepods/burstable": Identity("qos", qos="burstable"),
    f"/kubepods/pod{UID}": Identity("pod", pod=UID, qos="guaranteed"),
    f"/kubepods/besteffort/pod{UID}": Identity("pod", pod=UID, qos="besteffort"),
    f"/kubepods/burstable/pod{UID}/{ID}": Identity("container", container=ID, pod=UID, qos="burstable"),
    f"/kubepods/pod{UID}/crio-{ID}": Identity("container", None, None, "cri-o", ID, UID, "guaranteed"),
    f"/docker/{OTHER}/kubelet/kubepods/besteffort/pod{UID}/{ID}": Identity(
        "container", container=ID, pod=UID, qos="besteffort"
    ),
    f"/system.slice/containerd.service/kubepods-burstable-pod{IN_SLICE}.slice:cri-containerd:{ID}": Identity(
        *("container", None, f"kubepods-burstable-pod{IN_SLICE}.slice", "containerd", ID, UID, "burstable")
    ),
    # containers whose id is a UUID, and those of ECS and Fargate
    f"/kubepods/burstable/pod{UID}/{UUID}": Identity("container", container=UUID, pod=UID, qos="burstable"),
    f"/kubepods/{UUID}": Identity("container", container=UUID),
    f"/docker/{UUID}": Identity("container", runtime="docker", container=UUID),
    f"/ecs/{HASH}/{SHORT_ID}": Identity("container", runtime="ecs", container=SHORT_ID),
    f"/ecs/{HASH}/{UUID}": Identity("container", container=UUID),
    f"/ecs/{HASH}/{ID}": Identity("container", container=ID),
    # Cloud Foundry
    f"/system.slice/garden.service/garden/{UUID}": Identity(
        "container", "garden.service", "system.slice", "garden", container=UUID
    ),
    "/garden/good/70c1e8f5-1b36-4a42-4ad6-9cba": Identity(
        "container", runtime="garden", container="70c1e8f5-1b36-4a42-4ad6-9cba"
    ),
    # machines
    "/lxc.payload.web": Identity("machine", runtime="lxc", machine="web"),
    "/lxc.monitor.web": Identity("machine", runtime="lxc", machine="web"),
    "/lxc.payload/web/init.scope": Identity("unit", "init.scope", runtime="lxc", machine="web"),
    "/lxc.payload.web/system.slice/nginx.service": Identity(
        "unit", "nginx.service", "system.slice", "lxc", machine="web"
    ),
    "/machine.slice/systemd-nspawn@x.service": Identity(
        "machine", "systemd-nspawn@x.service", "machine.slice", "nspawn", machine="x"
    ),
    "/machine.slice/machine-x.scope": Identity("machine", "machine-x.scope", "machine.slice", machine="x"),
    r"/machine.slice/machine-qemu\x2d12\x2dmy\x2dvm.scope/libvirt/vcpu0": Identity(
        "machine", "machine-qemu-12-my-vm.scope", "machine.slice", "libvirt", machine="my-vm", below="libvirt/vcpu0"
    ),
    "/qemu.slice/100.scope": Identity("machine", "100.scope", "qemu.slice", "proxmox", machine="100"),
    "/lxc/101/ns": Identity("machine", runtime="proxmox", machine="101", below="ns"),
    # batch schedulers
    "/slurm/uid_1000/job_42": Identity("job", runtime="slurm", job="42", uid=1000),
    "/slurm/uid_1000/job_42/step_0/task_3": Identity("job", runtime="slurm", job="42", step="0", task="3", uid=1000),
    "/system.slice/slurmstepd.scope/job_42/step_batch/user/task_0": Identity(
        "job", "slurmstepd.scope", "system.slice", "slurm", job="42", step="batch", task="0"
    ),
    "/system.slice/slurmstepd.scope/job_42/step_extern/slurm": Identity(
        "job", "slurmstepd.scope", "system.slice", "slurm", job="42", step="extern", below="slurm"
    ),
    "/htcondor/condor_var_lib_condor_execute_slot1_2@node7": Identity("job", runtime="htcondor", job="slot1_2@node7"),
    "/system.slice/condor.service/condor_var_lib_condor_slot1@node7.example": Identity(
        "job", "condor.service", "system.slice", "htcondor", job="slot1@node7.example"
    ),
}


@pytest.mark.parametrize("location", FORMS)
def test_identify_known_form_is_recognized(location: str) -> None:
    assert identify(location) == FORMS[location]


@pytest.mark.parametrize(
    "location",
    ["/", "/job", "/job/a", "/docker", "/docker/buildkit", f"/docker/{ID[:12]}", f"/docker/{ID}0", "/lxc/x", "/.slice"]
    + [f"/jobs/{UUID}", "/a/step_0/task_1", "/user/task_1", "/lxc/x/y", f"/{HASH}/{HASH}", "/job_42"]
    + [f"/job/pod{HASH}", "/x.path", "/x.timer", "/x.target", "/x.device"]
    + ["/kubepods", "/kubepods/other", "/podcast", "/pod123", "/burstable", "/x.serviced", "/services", "/scope"],
)
def test_identify_other_location_is_none(location: str) -> None:
    assert identify(location) is None


@pytest.mark.parametrize(
    ("location", "name"),
    [
        ("/system.slice/nginx.service/x", "nginx.service"),
        ("/system.slice", "system.slice"),
        (f"/docker/{ID}", "docker 4f0f5e1c9d2b"),
        (f"/jobs/{ID}", "container 4f0f5e1c9d2b"),
        (f"/kubepods/pod{UID}", f"pod {UID}"),
        ("/kubepods/burstable", "burstable pods"),
        ("/user.slice/user-1000.slice", "user-1000.slice"),
        ("/lxc.payload.web", "lxc web"),
        ("/machine.slice/machine-x.scope", "machine x"),
        ("/slurm/uid_1000/job_42/step_0/task_3", "slurm job 42 step 0"),
    ],
)
def test_name_of_is_readable(location: str, name: str) -> None:
    identity = identify(location)
    assert identity is not None
    assert identity.name == name


def test_identity_of_a_cgroup_is_the_same_on_each_hierarchy(v1: Host, v2: Host) -> None:
    """Only the path counts: the cgroup need not exist, and the path is the same on v1 and v2."""
    for root in (v1.find_exn("memory"), v1.find_exn("name=systemd"), v2.find_exn(":/")):
        assert root.identity is None
        assert root.child("x.slice").child("y.service").identity == Identity("unit", "y.service", "x.slice")


names = st.sampled_from(
    [*{part for path in FORMS for part in path.split("/") if part}, "a", "kubepods", "docker", "é\udcff"]
)


@given(st.lists(names, min_size=1, max_size=6), st.lists(st.sampled_from(["a", "b.c", "é\udcff"]), max_size=3))
def test_identify_any_path_keeps_the_whole_path(above: list[str], below: list[str]) -> None:
    """The identified part and the rest are the whole path again."""
    location = "/" + "/".join([*above, *below])
    identity = identify(location)
    if identity is None:
        return
    assert identity.kind in ("unit", "slice", "container", "pod", "qos", "machine", "job")
    assert identity.name
    assert location.endswith(identity.below)
    top = location.removesuffix(identity.below).rstrip("/")
    assert identify(top) == identity._replace(below="")


def test_identify_each_level_of_a_deep_path_matches_a_component_once() -> None:
    """A user may nest a thousand cgroups: a name for each must not take a thousand matches."""
    identity._matches.cache_clear()
    for depth in range(1, 1001):
        assert identify("/deep.slice" + "/inner" * depth) is not None
    assert identity._matches.cache_info().misses == 3
