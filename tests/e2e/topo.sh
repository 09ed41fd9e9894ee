#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# The network of the demo and of the end-to-end tests, made of namespaces:
#
#     client                director                 switch          servers
#  192.0.2.10 ──────── 192.0.2.1   trunk ═══════ VLAN 10 ─── rs1 10.10.0.2
#                      LIPs 10.99.0.1-4   802.1Q  VLAN 20 ─── rs2 10.20.0.2
#                      VIP 198.51.100.1 (no address of any host)
#
# The same in IPv6: client 2001:db8:c::10, director ::1 of each subnet, servers
# 2001:db8:10::2 and 2001:db8:20::2, LIPs 2001:db8:99::1-4, VIP 2001:db8:f::1.
#
# The servers know their own subnet and the LIPs' (10.99.0.0/24), nothing
# else: no route leads from them to the client. The director does not forward.

set -eu

ns() {
	name=$1
	shift
	ip netns exec "$name" "$@"
}

link() { # NS DEV NS DEV
	ip link add "$2" netns "$1" type veth peer name "$4" netns "$3"
	ip -n "$1" link set "$2" up
	ip -n "$3" link set "$4" up
}

up() {
	for n in client director switch rs1 rs2; do
		ip netns add "$n"
		ip -n "$n" link set lo up
		# New namespaces take over what the first one has.
		ns "$n" sysctl -qw net.ipv4.ip_forward=0 net.ipv6.conf.all.forwarding=0
	done

	link client eth0 director client
	ip -n client addr add 192.0.2.10/24 dev eth0
	ip -n director addr add 192.0.2.1/24 dev client
	ip -n client route add 198.51.100.0/24 via 192.0.2.1
	ip -n client addr add 2001:db8:c::10/64 dev eth0 nodad
	ip -n director addr add 2001:db8:c::1/64 dev client nodad
	ip -n client route add 2001:db8:f::/64 via 2001:db8:c::1

	link director trunk switch director
	ip -n switch link add br0 type bridge vlan_filtering 1 stp_state 0
	ip -n switch link set br0 up
	ip -n switch link set director master br0
	for i in 1 2; do
		vid=$((i * 10))
		ip -n director link add link trunk name "vlan$vid" type vlan id "$vid"
		ip -n director link set "vlan$vid" up
		ip -n director addr add "10.$vid.0.1/24" dev "vlan$vid"
		ip -n director addr add "2001:db8:$vid::1/64" dev "vlan$vid" nodad
		ns switch bridge vlan add vid "$vid" dev director

		link "rs$i" eth0 switch "rs$i"
		ip -n switch link set "rs$i" master br0
		ns switch bridge vlan del vid 1 dev "rs$i"
		ns switch bridge vlan add vid "$vid" dev "rs$i" pvid untagged
		ip -n "rs$i" addr add "10.$vid.0.2/24" dev eth0
		ip -n "rs$i" route add 10.99.0.0/24 via "10.$vid.0.1"
		ip -n "rs$i" addr add "2001:db8:$vid::2/64" dev eth0 nodad
		ip -n "rs$i" route add 2001:db8:99::/64 via "2001:db8:$vid::1"
	done

	# Somebody must answer ARP or ND for the LIPs; here they are routed instead.
	for i in 1 2 3 4; do
		ip -n director addr add "10.99.0.$i/32" dev lo
		ip -n director addr add "2001:db8:99::$i/128" dev lo nodad
	done
}

down() {
	for n in client director switch rs1 rs2; do
		ip netns del "$n" 2>/dev/null || :
	done
}

case ${1-} in
up | down) "$1" ;;
*)
	echo "usage: topo.sh up | down" >&2
	exit 2
	;;
esac
