# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh disable=SC2154 # $suite is the caller's
#
# What fetch-kernel and fetch-qemu share: packages of $suite, another than the host's,
# from the mirror that its apt uses. Nothing is installed, and the host's own lists of
# packages are neither read nor changed. What is fetched is kept in $cache, and a link
# leads to the newest of it.

me=$(basename "$0")
what=${me#fetch-}
cache=${FNAT_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/ipvs-fullnat}

die() {
	echo "$me: $*" >&2
	exit 1
}

link() {
	echo "$cache/$what-$suite"
}

# The directory of the newest that was fetched.
newest() {
	readlink -e "$(link)" || die "there is no $what of $suite: run tests/vm/$me"
}

private() { # APT PROGRAM, ARGUMENT...
	program=$1
	shift
	# What is installed here must not count.
	"$program" -qq -o Dir::Etc::SourceList="$tmp/sources.list" \
		-o Dir::Etc::SourceParts=/dev/null -o Dir::State::status=/dev/null \
		-o Dir::State::Lists="$tmp/lists" -o Dir::Cache="$tmp/cache" \
		-o APT::Sandbox::User=root "$@"
}

mirror() {
	codename=$(. /etc/os-release && echo "${VERSION_CODENAME-}")
	# shellcheck disable=SC2016 # apt expands it
	apt-get --no-release-info indextargets --format '$(RELEASE) $(REPO_URI)' \
		'Created-By: Packages' | sed -n "s/^$codename //p" | head -n 1
}

# Reads the lists of $suite into $tmp, which goes when the script ends. Another run that
# is at the same is waited for; then status 1, unless MUST is given.
begin() { # [MUST]
	mkdir -p "$cache"
	exec 9>"$cache/$what.lock"
	if ! flock -n 9; then
		echo "$what of $suite: another run fetches; waiting for it"
		flock 9
		[ -n "${1-}" ] || return 1
	fi
	rm -rf "$cache/$what".tmp.* # we hold the lock: nobody works there
	tmp=$cache/$what.tmp.$$
	trap 'rm -rf "$tmp"' EXIT
	trap 'exit 130' INT TERM
	mkdir -p "$tmp/lists/partial" "$tmp/cache/archives/partial" "$tmp/debs" "$tmp/root"

	uri=$(mirror)
	[ -n "$uri" ] || die "apt's sources name no mirror of this distribution"
	echo "deb $uri $suite main" >"$tmp/sources.list"
	private apt-get -o APT::Update::Error-Mode=any update ||
		die "apt could not read $suite from $uri: is there a network?"
}

# Whether $cache/NAME is there already; then it is the newest.
kept() { # NAME
	[ -e "$cache/$1/release" ] || return 1
	ln -sfn "$1" "$(link)"
	echo "$what of $suite is in $cache/$1"
}

unpack() { # PACKAGE...: into $tmp/root
	echo "$what of $suite: fetching $* from $uri"
	(cd "$tmp/debs" && private apt-get download "$@") ||
		die "apt could not download $*: is there a network?"
	for deb in "$tmp/debs"/*.deb; do
		dpkg-deb -x "$deb" "$tmp/root"
	done
}

# Names what is in $tmp/root, and keeps it.
keep() { # NAME RELEASE
	echo "$2" >"$tmp/root/release"
	rm -rf "${cache:?}/$1"
	mv "$tmp/root" "$cache/$1"
	kept "$1"
}
