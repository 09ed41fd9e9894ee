# SPDX-License-Identifier: GPL-2.0
# What the kernel that we are built for has: -DFNAT_HAVE_<name> for each header
# that is there, and for each pattern that occurs in a header.

fnat_headers := net/gso.h linux/unaligned.h
fnat_upper = $(shell echo $(1) | tr 'a-z/.' 'A-Z__')

ccflags-y += $(foreach h,$(fnat_headers), \
	$(if $(wildcard $(srctree)/include/$(h)),-DFNAT_HAVE_$(call fnat_upper,$(h))))

# Name, header, pattern (a dot stands for what make would take for its own).
fnat_grep = $(shell grep -qs '$(3)' $(srctree)/include/$(2) && echo -DFNAT_HAVE_$(1))

ccflags-y += \
	$(call fnat_grep,CONST_CTL_TABLE,linux/sysctl.h,proc_handler.const struct) \
	$(call fnat_grep,NET_SYSCTL_SZ,net/net_namespace.h,register_net_sysctl_sz) \
	$(call fnat_grep,SABOTAGE_IN_DONE,linux/skbuff.h,sabotage_in_done) \
	$(call fnat_grep,GENL_INFO_DUMP,net/genetlink.h,^genl_info_dump)
