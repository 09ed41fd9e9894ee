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
 * Of a namespace; replaced, never changed, but for @used. Newest first, and so are
 * the windows from which they seal.
 */
struct fnat_cookie_keys {
	siphash_key_t	key[FNAT_COOKIE_KEYS];
	u32		since[FNAT_COOKIE_KEYS];	/* window */
	u32		n;		/* how many there are; one at the least */
	bool		given;		/* the newest is the operator's */
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

/* Whether there may be cookies about in @window that key @i has sealed. */
static inline bool fnat_cookie_key_lives(const struct fnat_cookie_keys *keys,
					 u32 i, u32 window)
{
	return i < keys->n && (!i || (s32)(window - keys->since[i - 1]) <= 1);
}

/*
 * The operator gives a key, NULL: takes it away. The one that there is already is no
 * news. Caller holds fn->cfg. -EINVAL, -EBUSY, with a sentence in @ea, -ENOMEM.
 */
int fnat_cookie_key_set(struct fnat_net *fn, const siphash_key_t *key,
			struct netlink_ext_ack *ea);

#endif /* FNAT_COOKIE_KEY_H */
