/* SPDX-License-Identifier: GPL-2.0 */
#ifndef FNAT_HOOK_H
#define FNAT_HOOK_H

#include <linux/netfilter.h>

struct fnat_net;

/* Each family's first and, for marked packets, second look. */
enum fnat_hook_kind {
	FNAT_HOOK_IP4,
	FNAT_HOOK_IP4_MARKED,
	FNAT_HOOK_IP6,
	FNAT_HOOK_IP6_MARKED,
	FNAT_HOOKS
};

struct fnat_hook {
	struct nf_hook_ops	ops;
	atomic_t		users;	/* services, listed or draining */
	bool			up;	/* under fn->cfg */
};

/*
 * @n more services (or less) of family @af, by firewall mark if @marked. Any
 * context; whoever adds calls fnat_hook_init(), whoever takes fnat_net_reap().
 */
void fnat_hook_count(struct fnat_net *fn, u16 af, bool marked, int n);

/*
 * Packets of what has users begin to reach @fn; caller holds fn->cfg. What
 * nf_register_net_hook() says: some may be up then.
 */
int fnat_hook_init(struct fnat_net *fn);

/* Takes away what no service needs any more. Sleeps; caller holds fn->cfg. */
void fnat_hook_trim(struct fnat_net *fn);

/*
 * All go; caller is the namespace's exit. Some packets may be under way for a
 * grace period.
 */
void fnat_hook_exit(struct fnat_net *fn);

#endif /* FNAT_HOOK_H */
