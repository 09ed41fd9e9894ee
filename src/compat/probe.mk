# SPDX-License-Identifier: GPL-2.0
# What the kernel that we are built for has: -DFNAT_HAVE_<header> for each.

fnat_headers := net/gso.h linux/unaligned.h
fnat_upper = $(shell echo $(1) | tr 'a-z/.' 'A-Z__')

ccflags-y += $(foreach h,$(fnat_headers), \
	$(if $(wildcard $(srctree)/include/$(h)),-DFNAT_HAVE_$(call fnat_upper,$(h))))

fnat_ctl_const := $(shell grep -q 'proc_handler.const struct' \
	$(srctree)/include/linux/sysctl.h && echo -DFNAT_HAVE_CONST_CTL_TABLE)
ccflags-y += $(fnat_ctl_const)
