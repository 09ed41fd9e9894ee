/* SPDX-License-Identifier: GPL-2.0 */
#ifndef FNAT_HOOK_H
#define FNAT_HOOK_H

#include <linux/netfilter.h>

struct fnat_net;

/*
 * Where each family's packets are looked at: all of them; once more those with
 * a mark; by their source, while there are servers of Masq, those that come in
 * and those that the host sends.
 */
enum fnat_hook_kind {
	FNAT_HOOK_IP4,
	FNAT_HOOK_IP4_MARKED,
	FNAT_HOOK_IP4_MASQ,
	FNAT_HOOK_IP4_MASQ_OUT,
	FNAT_HOOK_IP6,
	FNAT_HOOK_IP6_MARKED,
	FNAT_HOOK_IP6_MASQ,
	FNAT_HOOK_IP6_MASQ_OUT,
	FNAT_HOOKS
};

/* What they do. */
extern const struct nf_hook_ops fnat_hook_kinds[FNAT_HOOKS];

struct fnat_hook {
	struct nf_hook_ops	ops;
	atomic_t		users;	/* listed or draining */
	bool			up;	/* under fn->cfg */
};

/* hook_set.c: which of them are up. */

/*
 * @n more services (or less) of family @af, by firewall mark if @marked. Any
 * context; whoever adds calls fnat_hook_init(), whoever takes fnat_net_reap().
 */
void fnat_hook_count(struct fnat_net *fn, u16 af, bool marked, int n);

/* The same of real servers that are or were of Masq. */
void fnat_hook_count_masq(struct fnat_net *fn, u16 af, int n);

/*
 * Packets of what has users begin to reach @fn; caller holds fn->cfg. What
 * nf_register_net_hook() says: some may be up then.
 */
int fnat_hook_init(struct fnat_net *fn);

/* Takes away what nobody needs any more. Sleeps; caller holds fn->cfg. */
void fnat_hook_trim(struct fnat_net *fn);

/*
 * All go; caller is the namespace's exit. Some packets may be under way for a
 * grace period.
 */
void fnat_hook_exit(struct fnat_net *fn);

#endif /* FNAT_HOOK_H */
