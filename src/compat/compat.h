/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The only place that knows kernel versions. Included before every file;
 * goes by what a kernel has (src/compat/probe.mk) rather than by its number.
 */
#ifndef FNAT_COMPAT_H
#define FNAT_COMPAT_H

#include <linux/rcupdate_wait.h> /* cond_resched_rcu(), from sched.h before 6.2 */
#include <linux/skbuff.h>
#ifdef FNAT_HAVE_NET_GSO_H
#include <net/gso.h>
#endif

#ifdef FNAT_HAVE_LINUX_UNALIGNED_H
#include <linux/unaligned.h>
#else
#include <asm/unaligned.h>
#endif

/* proc_handler's table became const in 6.11. */
#ifdef FNAT_HAVE_CONST_CTL_TABLE
#define CTL_CONST const
#else
#define CTL_CONST
#endif

/*
 * From 6.6 on the entries of a table are counted, the empty one at its end not
 * among them; before, that one ended the table.
 */
#ifndef FNAT_HAVE_NET_SYSCTL_SZ
#define register_net_sysctl_sz(net, path, table, n)	\
	register_net_sysctl(net, path, table)
#endif

/* The attributes of the request that a dump answers moved in 6.6. */
#ifdef FNAT_HAVE_GENL_INFO_DUMP
#define fnat_genl_dump_attrs(cb)	(genl_info_dump(cb)->attrs)
#else
#define fnat_genl_dump_attrs(cb)	(genl_dumpit_info(cb)->attrs)
#endif

/*
 * What br_netfilter has shown on a bridge no hook sees again, unless told so.
 * Kernels before 2023 cannot be told.
 */
#ifdef FNAT_HAVE_SABOTAGE_IN_DONE
#define fnat_bridge_show_again(nf_bridge)	((nf_bridge)->sabotage_in_done = 1)
#else
#define fnat_bridge_show_again(nf_bridge)	do { } while (0)
#endif

/* The attribute has had its name since 2025. */
#ifndef __uninitialized
#define __uninitialized	__attribute__((__uninitialized__))
#endif

#undef pr_fmt
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#endif /* FNAT_COMPAT_H */
