// SPDX-License-Identifier: GPL-2.0
/*
 * Which hooks are up: those whose packets somebody waits for, and no others.
 */
#include <linux/netfilter.h>

#include "fnat.h"
#include "hook.h"

void fnat_hook_count(struct fnat_net *fn, u16 af, bool marked, int n)
{
	int kind = af == AF_INET ? FNAT_HOOK_IP4 : FNAT_HOOK_IP6;

	atomic_add(n, &fn->hook[kind].users);
	if (marked)
		atomic_add(n, &fn->hook[kind + 1].users);
}

void fnat_hook_count_masq(struct fnat_net *fn, u16 af, int n)
{
	int kind = af == AF_INET ? FNAT_HOOK_IP4_MASQ : FNAT_HOOK_IP6_MASQ;

	atomic_add(n, &fn->hook[kind].users);
	atomic_add(n, &fn->hook[kind + 1].users);
}

int fnat_hook_init(struct fnat_net *fn)
{
	int i, err;

	lockdep_assert_held(&fn->cfg);
	for (i = 0; i < FNAT_HOOKS; i++) {
		struct fnat_hook *h = &fn->hook[i];

		if (h->up || !atomic_read(&h->users))
			continue;
		h->ops = fnat_hook_kinds[i];
		h->ops.priv = fn;
		err = nf_register_net_hook(fn->net, &h->ops);
		if (err)
			return err;
		h->up = true;
	}
	return 0;
}

/* Takes away those that are up and have no users; or all. Whether any was. */
static bool take_away(struct fnat_net *fn, bool all)
{
	bool any = false;
	int i;

	for (i = 0; i < FNAT_HOOKS; i++) {
		struct fnat_hook *h = &fn->hook[i];

		if (!h->up || (!all && atomic_read(&h->users)))
			continue;
		nf_unregister_net_hook(fn->net, &h->ops);
		h->up = false;
		any = true;
	}
	return any;
}

void fnat_hook_trim(struct fnat_net *fn)
{
	lockdep_assert_held(&fn->cfg);
	/* Packets may still be in the hook, and readers in its ops. */
	if (take_away(fn, false))
		synchronize_net();
}

void fnat_hook_exit(struct fnat_net *fn)
{
	take_away(fn, true);
}
