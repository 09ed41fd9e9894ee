# SPDX-License-Identifier: GPL-2.0
"""What a VM boots: finds a kernel and its modules, and packs the initramfs."""

import hashlib
import os
import pathlib
import re
import subprocess

HERE = pathlib.Path(__file__).resolve().parent
BUILD = HERE.parent.parent / "build" / "vm"

# To reach the root file system and the host; the rest is modprobe's business.
BOOT_MODULES = ["virtio_pci", "9pnet_virtio", "9p", "virtio_console", "overlay"]

# What init calls before there is a /proc, by which busybox finds itself.
APPLETS = ["chmod", "cp", "insmod", "mkdir", "mount", "switch_root"]

FOLDER, PROGRAM, PLAIN, LINK = 0o040755, 0o100755, 0o100644, 0o120777


class VmError(Exception):
    """The VM could not be run; says why in one sentence."""


# --- which kernel ---------------------------------------------------------------

class Kernel:
    """An image, and the directory that has its modules."""

    def __init__(self, root, release):
        self.root = root
        self.release = release
        self.image = root / "boot" / f"vmlinuz-{release}"
        if not os.access(self.image, os.R_OK):
            raise VmError(f"no kernel {release} in {root / 'boot'}: run tests/setup.sh vm")
        candidates = [root / "lib/modules", root / "usr/lib/modules"]
        self.modules = next((d for d in candidates if (d / release).is_dir()), None)
        if self.modules is None:
            raise VmError(f"no modules of kernel {release} under {root}: run tests/setup.sh vm")
        if not (self.modules / release / "modules.dep").exists():
            raise VmError(f"{self.modules / release} has no modules.dep:"
                          f" run depmod -b {self.modules.parent.parent} {release}")

    def insmod_order(self):
        """The files that BOOT_MODULES need, in order of insertion."""
        order = []
        for name in BOOT_MODULES:
            lines = subprocess.run(
                ["/sbin/modprobe", "-d", self.modules.parent.parent, "-C", "/dev/null",
                 "-S", self.release, "-D", name],
                check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
            paths = [pathlib.Path(l.split()[1]) for l in lines if l.startswith("insmod ")]
            order += [p for p in paths if p not in order]
        return order


def version_key(release):
    return [int(n) for n in re.findall(r"\d+", release)]


def newest_release(boot):
    """As bench and build pick it too: cloud kernels panic under TCG."""
    names = [p.name.removeprefix("vmlinuz-") for p in boot.glob("vmlinuz-*")]
    names = [n for n in names if "cloud" not in n and not n.endswith(".old")]
    if not names:
        raise VmError(f"no kernel in {boot}: run tests/setup.sh vm")
    return max(names, key=version_key)


def find_kernel(name, system=pathlib.Path("/")):
    """NAME is what --kernel says, SYSTEM the root directory whose kernels it may mean."""
    if name == "debug":
        found = subprocess.run([HERE / "build-debug-kernel", "--print-dir"],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if found.returncode:
            raise VmError(found.stderr.strip().partition(": ")[2])
        root = pathlib.Path(found.stdout.strip())
        return Kernel(root, (root / "release").read_text().strip())
    if name is None or os.path.isdir(name):
        root = pathlib.Path(name or system).resolve()
        return Kernel(root, newest_release(root / "boot"))
    return Kernel(system, name)


# --- initramfs ------------------------------------------------------------------

def cpio(files):
    """A newc archive; files maps names to (mode with type, bytes)."""
    out = bytearray()
    entries = [*files.items(), ("TRAILER!!!", (0, b""))]
    for number, (name, (mode, data)) in enumerate(entries):
        fields = [number + 1, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0]
        out += b"070701" + b"".join(b"%08X" % f for f in fields) + name.encode() + b"\0"
        out += bytes(-len(out) % 4)
        out += data
        out += bytes(-len(out) % 4)
    return bytes(out)


def base_initrd(kernel):
    """What every run of this kernel shares, packed once."""
    sources = [HERE / "init", HERE / "guest", pathlib.Path("/bin/busybox")]
    if not sources[2].exists():
        raise VmError("busybox is missing: run tests/setup.sh vm")
    key = hashlib.sha256()
    for path in [*sources, HERE / "boot.py", kernel.image,
                 kernel.modules / kernel.release / "modules.dep"]:
        stat = path.stat()
        key.update(f"{path} {stat.st_mtime_ns} {stat.st_size}\n".encode())
    folder = BUILD / kernel.release
    initrd = folder / f"initrd-{key.hexdigest()[:12]}"
    if not initrd.exists():
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob("initrd-*"):
            old.unlink(missing_ok=True)
        files = {d: (FOLDER, b"") for d in ("bin", "proc", "sys", "dev", "modules", "job")}
        files["init"], files["guest"], files["bin/busybox"] = (
            (PROGRAM, path.read_bytes()) for path in sources)
        for name in APPLETS:
            files[f"bin/{name}"] = (LINK, b"busybox")
        order = kernel.insmod_order()
        files["modules/order"] = (PLAIN, "".join(f"{p.name}\n" for p in order).encode())
        for path in order:
            files[f"modules/{path.name}"] = (PLAIN, path.read_bytes())
        fresh = initrd.with_name(f"{initrd.name}.{os.getpid()}")
        fresh.write_bytes(cpio(files))
        fresh.rename(initrd)
    return initrd
