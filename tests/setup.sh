#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Installs what building, trying and checking the project needs on Debian 12.
# Does nothing, and quickly, when all is there.

set -eu

usage() {
	cat <<-USAGE
	usage: tests/setup.sh [build | vm | check | debug | bench | dist]...
	       tests/setup.sh --kernel

	  build  the module and the tools
	  vm     a virtual machine with everything that demo and tests run in it
	  check  static analysis and the unit tests
	  debug  the kernel with KASAN, lockdep and kmemleak
	  bench  make bench, beside what vm brings
	  dist   tests/install/run

	Without a group: all but bench and dist. With --kernel, says the release that the VM
	boots by default, and installs nothing.
	USAGE
}

die() {
	echo "setup: $*" >&2
	exit 1
}

packages_of() {
	case $1 in
	build) echo build-essential dpkg-dev kmod libnl-3-dev libnl-genl-3-dev \
		libpopt-dev linux-headers-amd64 pkg-config xz-utils ;;
	vm) echo busybox-static curl ethtool hping3 iperf3 iproute2 ipvsadm keepalived kmod \
		linux-image-amd64 nftables nginx-light procps \
		prometheus-node-exporter python3 \
		python3-pyroute2 python3-pytest python3-scapy qemu-system-x86 \
		tcpdump ;;
	check) echo clang libclang-rt-14-dev linux-source-6.1 pahole shellcheck \
		sparse ;;
	bench) echo bc bison build-essential flex haproxy libnginx-mod-stream \
		linux-source-6.1 python3-matplotlib wrk xz-utils ;;
	dist) echo debootstrap mandoc zstd ;;
	debug) echo bc bison build-essential flex libelf-dev libssl-dev \
		linux-source-6.1 rsync xz-utils ;;
	esac
}

# The kernel that the VM boots by default; cloud kernels panic under TCG.
newest_kernel() {
	find /boot -maxdepth 1 -name 'vmlinuz-*-amd64' ! -name '*-cloud-*' \
		-printf '%f\n' | sed 's/^vmlinuz-//' | sort -V | tail -n1
}

# A name that dpkg never heard of is missing too.
missing() {
	installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "$@" 2>/dev/null |
		sed -n 's/^installed //p') || :
	for package; do
		echo "$installed" | grep -qxF "$package" || echo "$package"
	done | sort -u
}

updated=
install() {
	[ "$(id -u)" = 0 ] || die "run this as root: it has to install $*"
	echo "setup: installing $*"
	[ -n "$updated" ] || apt-get -qq update ||
		die "apt-get update failed: is there a network, and are the sources right?"
	updated=yes
	# Daemons are for the VM; nginx must not start here.
	policy=/usr/sbin/policy-rc.d
	if [ ! -e $policy ]; then
		trap 'rm -f $policy' EXIT
		trap 'exit 130' INT TERM
		printf '#!/bin/sh\nexit 101\n' >$policy
		chmod 755 $policy
	fi
	DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends \
		-o Dpkg::Use-Pty=0 install "$@"
}

for group; do
	case $group in
	build | vm | check | debug | bench | dist) ;;
	--kernel) newest_kernel; exit ;;
	-h | --help) usage; exit ;;
	*) echo "setup: no group '$group'" >&2; usage >&2; exit 2 ;;
	esac
done
[ $# -gt 0 ] || set -- build vm check debug

command -v apt-get >/dev/null || die "this is no Debian system: apt-get is missing"

wanted=$(for group; do packages_of "$group"; done)
# shellcheck disable=SC2086
lacking=$(missing $wanted)
if [ -n "$lacking" ]; then
	# shellcheck disable=SC2086
	install $lacking || die "apt-get could not install all packages, see above"
fi

# The archive may have moved on since this kernel was installed.
case " $* " in
*' build '*)
	kernel=$(newest_kernel)
	if [ -n "$kernel" ] && [ ! -e "/lib/modules/$kernel/build" ]; then
		install "linux-headers-$kernel" ||
			install linux-image-amd64 linux-headers-amd64 || :
		kernel=$(newest_kernel)
		[ -e "/lib/modules/$kernel/build" ] ||
			die "there are no headers for kernel $kernel; install it and them anew"
	fi
	;;
esac
