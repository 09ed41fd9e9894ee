// SPDX-License-Identifier: GPL-2.0
#include <linux/ktime.h>
#include <linux/random.h>
#include <linux/slab.h>

#include "conn.h"
#include "cookie_key.h"

/* A key of our own seals for an hour. */
#define KEY_WINDOWS	(3600 / FNAT_COOKIE_WINDOW)

/*
 * A key of the operator's is accepted at once, and seals from the third window on:
 * two minutes or more, for him to give it to the other directors.
 */
#define GIVEN_AHEAD	3

u32 fnat_cookie_window_now(void)
{
	return (u32)(ktime_get_real_seconds() / FNAT_COOKIE_WINDOW);
}

static void free_keys(struct rcu_head *head)
{
	kfree_sensitive(container_of(head, struct fnat_cookie_keys, rcu));
}

/* Whether others may have cookies that a key of @keys has sealed. */
static bool is_known(const struct fnat_cookie_keys *keys)
{
	return keys && (keys->k[0].given || READ_ONCE(keys->used));
}

/* Puts those of @was behind the first of @keys whose cookies may still come. */
static void keep(struct fnat_cookie_keys *keys, const struct fnat_cookie_keys *was,
		 u32 now)
{
	u32 since = keys->k[0].since;
	struct fnat_cookie_key *k;
	u32 i;

	for (i = 0; i < was->n && keys->n < FNAT_COOKIE_KEYS; i++) {
		k = &keys->k[keys->n];
		*k = was->k[i];
		/* Other directors may change two windows later than this one. */
		if (!i)
			k->last = k->given ? since + 1 : since - 1;
		/* One that was still to come now seals no later than its successor. */
		if ((s32)(k->since - since) > 0)
			k->since = since;
		if ((s32)(k->last - (now - 1)) >= 0)
			keys->n++;
	}
}

/* @key seals from window @since on. */
static int replace(struct fnat_net *fn, const siphash_key_t *key, bool given,
		   u32 since)
{
	struct fnat_cookie_keys *was = fnat_cookie_keys(fn);
	u32 now = fnat_cookie_window_now();
	struct fnat_cookie_keys *keys;

	lockdep_assert_held(&fn->cfg);
	keys = kzalloc(sizeof(*keys), GFP_KERNEL);
	if (!keys)
		return -ENOMEM;
	keys->k[0] = (struct fnat_cookie_key){
		.key	= *key,
		.since	= since,
		/* Another director may have been given it a moment ago. */
		.first	= given ? now - 1 : since,
		.given	= given,
	};
	keys->n = 1;
	keys->set_at = fnat_now();
	if (is_known(was)) {
		keys->used = true;
		keep(keys, was, now);
	}
	rcu_assign_pointer(fn->cookie_keys, keys);
	if (was)
		call_rcu(&was->rcu, free_keys);
	return 0;
}

static int renew(struct fnat_net *fn, u32 since)
{
	siphash_key_t key;
	int err;

	get_random_bytes(&key, sizeof(key));
	err = replace(fn, &key, false, since);
	memzero_explicit(&key, sizeof(key));
	return err;
}

static bool is_worn(const struct fnat_cookie_keys *keys, u32 window)
{
	return !keys->k[0].given &&
	       (s32)(window - keys->k[0].since) >= KEY_WINDOWS;
}

static void new_key(struct work_struct *work)
{
	struct fnat_net *fn = container_of(work, struct fnat_net, new_key);
	u32 now;

	mutex_lock(&fn->cfg);
	now = fnat_cookie_window_now();
	/* Without memory the old one seals until the next SYN asks. */
	if (is_worn(fnat_cookie_keys(fn), now))
		renew(fn, now + 1);
	mutex_unlock(&fn->cfg);
}

const siphash_key_t *fnat_cookie_key_seals(struct fnat_net *fn, u32 window)
{
	struct fnat_cookie_keys *keys = fnat_cookie_keys(fn);
	u32 i = 0;

	/* In this order: who replaces it is to see that it has been used. */
	if (unlikely(!READ_ONCE(keys->used)))
		WRITE_ONCE(keys->used, true);
	if (unlikely(is_worn(keys, window)))
		queue_work(fnat_wq, &fn->new_key);
	while (i + 1 < keys->n && (s32)(window - keys->k[i].since) < 0)
		i++;
	return &keys->k[i].key;
}

static int check(const siphash_key_t *key, struct netlink_ext_ack *ea)
{
	if (key->key[0] || key->key[1])
		return 0;
	NL_SET_ERR_MSG(ea,
		       "Everybody knows a key of zeros: take 16 random bytes");
	return -EINVAL;
}

/* Whether cookies of some window to come, or of the last, may be of two of @keys. */
static bool is_crowded(const struct fnat_cookie_keys *keys, u32 now)
{
	u32 from = now - 1;

	if ((s32)(keys->k[0].first - from) > 0)
		from = keys->k[0].first;
	return keys->n > 1 && (s32)(keys->k[1].last - from) >= 0;
}

int fnat_cookie_key_set(struct fnat_net *fn, const siphash_key_t *key,
			struct netlink_ext_ack *ea)
{
	const struct fnat_cookie_keys *was = fnat_cookie_keys(fn);
	u32 now = fnat_cookie_window_now();
	int err;

	if (key) {
		err = check(key, ea);
		if (err)
			return err;
	}
	if (!!key == was->k[0].given &&
	    (!key || !memcmp(key, &was->k[0].key, sizeof(*key))))
		return 0;
	if (is_known(was) && is_crowded(was, now)) {
		NL_SET_ERR_MSG(ea,
			       "The last change of keys is still under way: try again in seven minutes");
		return -EBUSY;
	}
	if (!key)
		return renew(fn, now);
	/* Before the first cookie, as at boot, nothing has to be waited for. */
	return replace(fn, key, true, is_known(was) ? now + GIVEN_AHEAD : now);
}

int fnat_cookie_keys_init(struct fnat_net *fn)
{
	int err;

	INIT_WORK(&fn->new_key, new_key);
	mutex_lock(&fn->cfg);
	err = renew(fn, fnat_cookie_window_now());
	mutex_unlock(&fn->cfg);
	return err;
}

void fnat_cookie_keys_exit(struct fnat_net *fn)
{
	cancel_work_sync(&fn->new_key);
	kfree_sensitive(rcu_dereference_protected(fn->cookie_keys, true));
}
