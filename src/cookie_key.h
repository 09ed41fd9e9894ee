/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The keys that seal cookies: random ones of our own, another each hour, or those
 * that the operator gives to all directors of a cluster. A key is accepted before
 * it seals and after it has sealed, so that no handshake under way is lost, here
 * or by another director that is given the same key a little later or earlier.
 */
#ifndef FNAT_COOKIE_KEY_H
#define FNAT_COOKIE_KEY_H

#include <linux/netlink.h>
#include <linux/rcupdate.h>
#include <linux/siphash.h>

#include "cookie.h"
#include "fnat.h"

/* One that seals, one that will, and one that did. */
#define FNAT_COOKIE_KEYS	3

/*
 * A key, and the windows whose cookies it may have sealed; those of the operator's
 * overlap, for he changes one director after the other. Of any window, two at the
 * most: the sum in cookie.h.
 */
struct fnat_cookie_key {
	siphash_key_t	key;
	u32		since;		/* the window from which it seals */
	u32		first;		/* windows that it is accepted in */
	u32		last;		/* of the newest: no matter */
	bool		given;		/* the operator's */
};

/* Of a namespace; replaced, never changed, but for @used. Newest first. */
struct fnat_cookie_keys {
	struct fnat_cookie_key	k[FNAT_COOKIE_KEYS];
	u32		n;		/* how many there are; one at the least */
	bool		used;		/* cookies may have been sealed */
	u32		set_at;		/* s; fnat_now() */
	struct rcu_head	rcu;
};

/* 0 or -ENOMEM; without packets. */
int fnat_cookie_keys_init(struct fnat_net *fn);
void fnat_cookie_keys_exit(struct fnat_net *fn);

/* The window of time that cookies are made in, on every director whose clock is right. */
u32 fnat_cookie_window_now(void);

/* Borrowed under RCU or fn->cfg. */
static inline struct fnat_cookie_keys *
fnat_cookie_keys(const struct fnat_net *fn)
{
	return rcu_dereference_check(fn->cookie_keys,
				     lockdep_is_held(&fn->cfg));
}

/* The one that a cookie made in @window is to be sealed with; asks for a new one. RCU. */
const siphash_key_t *fnat_cookie_key_seals(struct fnat_net *fn, u32 window);

/* Whether key @i, of those that there are, may have sealed a cookie of @window. */
static inline bool fnat_cookie_key_opens(const struct fnat_cookie_keys *keys,
					 u32 i, u32 window)
{
	const struct fnat_cookie_key *k = &keys->k[i];

	/* The oldest has no beginning: a clock that is set back goes there. */
	return (i + 1 == keys->n || (s32)(window - k->first) >= 0) &&
	       (!i || (s32)(k->last - window) >= 0);
}

/*
 * The operator gives a key, NULL: takes it away. The one that there is already is no
 * news. Caller holds fn->cfg. -EINVAL, -EBUSY, with a sentence in @ea, -ENOMEM.
 */
int fnat_cookie_key_set(struct fnat_net *fn, const siphash_key_t *key,
			struct netlink_ext_ack *ea);

#endif /* FNAT_COOKIE_KEY_H */
