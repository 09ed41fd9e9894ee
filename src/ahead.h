/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Looking ahead. Of millions of connections, that of a packet which has just come is
 * in no cache, and memory has to be waited for twice in a row: for the bucket, and
 * for what it leads to. But packets come in lists, of eight with GRO, and the stack
 * shows all of a list to netdev ingress before the first one comes to PRE_ROUTING:
 * early enough to ask for what they will need. It changes no packet and decides
 * nothing. What it costs is lost while caches have all connections: it begins and
 * ends with their number, see sysctl fullnat_lookahead.
 */
#ifndef FNAT_AHEAD_H
#define FNAT_AHEAD_H

#include <linux/jump_label.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/notifier.h>
#include <linux/workqueue.h>

struct fnat_net;
struct fnat_pkt;

/* fullnat_lookahead: other numbers say from how many connections on. */
enum {
	FNAT_AHEAD_NEVER,
	FNAT_AHEAD_ALWAYS,
};

/* Of a namespace. */
struct fnat_ahead {
	struct notifier_block	nb;	/* tells of devices */
	struct list_head	eyes;	/* one on each; under RTNL */
	struct mutex		lock;	/* of who begins and ends it */
	struct work_struct	weigh;	/* once more whether to */
	bool			on;
	bool			was_on;
	bool			over;		/* the namespace goes */
};

DECLARE_STATIC_KEY_FALSE(fnat_ahead_on);	/* somewhere */

int fnat_ahead_cache_init(void);	/* for the whole module: 0 or -ENOMEM */
void fnat_ahead_cache_exit(void);

/*
 * Begins or ends it, as the sysctl and the number of connections say: at once, which
 * sleeps, without RTNL; or soon, for whoever sees that number change, in any context.
 */
void fnat_ahead_init(struct fnat_net *fn);
void fnat_ahead_set(struct fnat_net *fn);
void fnat_ahead_weigh(struct fnat_net *fn);

/*
 * It ends, with the namespace; a grace period later nobody looks at its table any
 * more: after fnat_ahead_forget(), which waits for one.
 */
void fnat_ahead_exit(struct fnat_net *fn);
void fnat_ahead_forget(struct fnat_net *fn);

/* The hash that @p was seen to have, if it was seen; or -1. RCU, BHs off. */
s64 __fnat_ahead_take(const struct fnat_pkt *p);

static inline s64 fnat_ahead_take(const struct fnat_pkt *p)
{
	if (static_branch_unlikely(&fnat_ahead_on))
		return __fnat_ahead_take(p);
	return -1;
}

#endif /* FNAT_AHEAD_H */
