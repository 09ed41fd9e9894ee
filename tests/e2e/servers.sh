#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# nginx in the namespaces rs1 and rs2 of topo.sh: a page of its own each, the
# same big file (100 MB, or as many as are named), uploads by PUT under /up/, a
# log of who came. Everything below /tmp/rs1 and /tmp/rs2.

set -eu

config() {
	cat <<-CONF
	worker_processes 1;
	pid $1/pid;
	error_log $1/error.log;
	events { worker_connections 20000; }
	http {
	  log_format peer '\$remote_addr:\$remote_port "\$request" \$status';
	  access_log $1/access.log peer;
	  client_body_temp_path $1/body; proxy_temp_path $1/p;
	  fastcgi_temp_path $1/f; uwsgi_temp_path $1/u; scgi_temp_path $1/s;
	  sendfile on;
	  server {
	    listen 80 backlog=4096;
	    listen [::]:80 backlog=4096;
	    root $1/www;
	    location /up/ { client_max_body_size 0; dav_methods PUT; }
	  }
	}
	CONF
}

up() {
	for rs in rs1 rs2; do
		dir=/tmp/$rs
		mkdir -p "$dir/www/up"
		chmod -R a+rwX "$dir"
		echo "this page comes from $rs" >"$dir/www/index.html"
		[ -e /tmp/big ] || head -c "$((${1:-100} << 20))" /dev/urandom >/tmp/big
		ln -sf /tmp/big "$dir/www/big"
		config "$dir" >"$dir/nginx.conf"
		ip netns exec "$rs" nginx -c "$dir/nginx.conf"
	done
}

down() {
	for rs in rs1 rs2; do
		[ ! -e "/tmp/$rs/pid" ] || kill "$(cat "/tmp/$rs/pid")" || :
		rm -rf "/tmp/$rs"
	done
	rm -f /tmp/big
}

case ${1-} in
up | down) "$@" ;;
*)
	echo "usage: servers.sh up [MB] | down" >&2
	exit 2
	;;
esac
