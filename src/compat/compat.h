/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The only place that knows kernel versions. Included before every file;
 * goes by what a kernel has (src/compat/probe.mk) rather than by its number.
 */
#ifndef FNAT_COMPAT_H
#define FNAT_COMPAT_H

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

#undef pr_fmt
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#endif /* FNAT_COMPAT_H */
