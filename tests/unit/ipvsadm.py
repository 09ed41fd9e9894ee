# SPDX-License-Identifier: GPL-2.0
"""The patched ipvsadm, run for a case, without a kernel or with a played one."""
import os
import pathlib
import subprocess

from fake_kernel import Kernel

TOP = pathlib.Path(__file__).resolve().parents[2]
TOOLS = pathlib.Path(os.environ.get("FNAT_TOOLS", TOP / "build/tools"))
IPVSADM = TOOLS / "ipvsadm"
SAVE, RESTORE = TOOLS / "ipvsadm-save", TOOLS / "ipvsadm-restore"
VIP = "10.0.0.1:80"


def compile_c(path, source, *args):
    """Compiles SOURCE to PATH with further ARGS of the compiler."""
    path.with_suffix(".c").write_text(source)
    subprocess.run(["cc", "-Wall", "-g", "-o", path,
                    path.with_suffix(".c"), *args], check=True)
    return path


def plain(line):
    """Runs ipvsadm LINE where there is no kernel to talk to."""
    return subprocess.run([IPVSADM, *line.split()], text=True,
                          capture_output=True, timeout=30)


class Host:
    """A machine with a kernel that is played."""

    def __init__(self, tmp_path, preload):
        path = str(tmp_path / "kernel")
        self.kernel = Kernel(path)
        self.conn_file = tmp_path / "ip_vs_conn"    # of the kernel's /proc/net
        self.env = dict(os.environ, LD_PRELOAD=str(preload), FAKE_KERNEL=path,
                        FAKE_CONNS=str(self.conn_file))

    def run(self, *args, stdin="", tool=IPVSADM):
        """The completed process of TOOL with ARGS."""
        return subprocess.run([tool, *args], input=stdin, env=self.env,
                              text=True, capture_output=True, timeout=60)

    def ok(self, line, stdin="", tool=IPVSADM):
        """What TOOL with the words of LINE prints; it must say nothing else."""
        done = self.run(*line.split(), stdin=stdin, tool=tool)
        assert (done.returncode, done.stderr) == (0, ""), done
        return done.stdout

    def fails(self, line, stdin=""):
        """(status, message) of ipvsadm with the words of LINE; no output."""
        done = self.run(*line.split(), stdin=stdin)
        assert done.stdout == "", done
        return done.returncode, done.stderr

    def table(self, *lines):
        """Runs every line, each of which must succeed."""
        for line in lines:
            self.ok(line)
