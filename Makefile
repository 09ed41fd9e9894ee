# SPDX-License-Identifier: GPL-2.0
# `make help` tells what there is.

KVER  ?= $(shell tests/setup.sh --kernel)
KDIR  ?= /lib/modules/$(KVER)/build
# The release as the headers name it, whatever KVER said.
RELEASE = $(shell sed -n 's/.*UTS_RELEASE "\(.*\)"/\1/p' $(KDIR)/include/generated/utsrelease.h 2>/dev/null)
OUT   := $(CURDIR)/build
MOD    = $(OUT)/$(RELEASE)
W     ?= 1

all: module tools

help:
	@echo 'ipvs-fullnat: a FULLNAT load balancer for stock kernels'
	@echo
	@echo '  make demo         see it work, in a virtual machine (root)'
	@echo '  make check        prove that it works: lint, unit, wire and e2e tests (root)'
	@echo '  make check-debug  wire and most e2e tests on a debug kernel: KASAN, lockdep, kmemleak'
	@echo '  make check-long   parsers, packets and handshakes fuzzed by the million, 100 MB with losses (hours)'
	@echo '  make check-install  packages and make install, in a clean Debian 12 and booted'
	@echo '  make vm-shell     a shell in the machine of the demo, to play'
	@echo '  make bench        what a packet, a connection, a machine costs, beside peers'
	@echo '  make bench T=instructions|native|systems   one lens of it, and rows and columns of it'
	@echo '  make bench-check  what our packets cost, against what is stored'
	@echo '  make bench-refresh  store it, and write docs/performance.md'
	@echo
	@echo '  make              module and tools'
	@echo '  make module [KVER=release] [KDIR=headers]   build/RELEASE/ip_vs_fullnat.ko'
	@echo '  make tools        build/tools/ipvsadm'
	@echo '  make setup        install what make, demo and check need of Debian (root)'
	@echo '  make lint         sparse, W=1 and checkpatch --strict'
	@echo '  make install [DESTDIR=] [PREFIX=/usr/local]   tools, and the module with dkms if it is there'
	@echo '  make uninstall    takes that away again'
	@echo '  make deb          Debian packages: build/deb/*.deb'
	@echo '  make clean        remove build/'
	@echo
	@echo '  make check T=word runs only the cases whose name contains the word'

# Objects land beside their sources, so each kernel gets a tree of links.
module:
	@test -e $(KDIR)/Makefile || { echo 'No kernel headers in $(KDIR): install linux-headers-$(or $(KVER),RELEASE), or name kernel or headers: KVER=, KDIR= (cloud kernels are passed over)'; exit 1; }
	@mkdir -p $(MOD)
	@cp -rsf $(CURDIR)/Kbuild $(CURDIR)/src $(CURDIR)/include $(MOD)/
	@find $(MOD) -xtype l -delete
	$(MAKE) -C $(KDIR) M=$(MOD) W=$(W) modules

# What only the bench loads, beside the module for the same kernel.
kmod:
	@mkdir -p $(MOD)/kmod
	@cp -sf $(CURDIR)/tests/bench/kmod/* $(MOD)/kmod/
	$(MAKE) -C $(KDIR) M=$(MOD)/kmod W=$(W) modules

tools:
	$(MAKE) -C tools/ipvsadm OUT=$(OUT)/tools

setup:
	tests/setup.sh

demo vm-shell check check-debug check-long check-install bench bench-check bench-refresh:
	tests/run $@ '$(T)'

lint:
	tests/lint

DIST = DESTDIR='$(DESTDIR)' PREFIX='$(PREFIX)' MODPROBED='$(MODPROBED)' \
       OUT='$(OUT)' KVER='$(RELEASE)' dist/install

# Where dkms is, it builds the module itself.
install: tools $(if $(DESTDIR)$(shell command -v dkms),,module)
	@$(DIST) install

uninstall:
	@$(DIST) uninstall

deb: tools
	@OUT='$(OUT)' dist/deb

clean:
	rm -rf $(OUT)

.PHONY: all help module kmod tools setup demo vm-shell check check-debug check-long \
	check-install bench bench-check bench-refresh lint install uninstall deb clean
