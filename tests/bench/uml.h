/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Put before every file of the module when it is built for the user-mode
 * kernel, which has no br_netfilter.
 */
#include <linux/kconfig.h>
#include <linux/skbuff.h>

#if !IS_ENABLED(CONFIG_BRIDGE_NETFILTER)
#define nf_bridge_info_get(skb)	((void *)NULL)
#endif
