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
	return keys && (keys->given || READ_ONCE(keys->used));
}

/* What is to follow, with @key in front of those of @was that are still needed. */
static void fill(struct fnat_cookie_keys *keys, const struct fnat_cookie_keys *was,
		 const siphash_key_t *key, u32 since, u32 now)
{
	u32 i;

	keys->key[0] = *key;
	keys->since[0] = since;
	keys->n = 1;
	keys->set_at = fnat_now();
	if (!is_known(was))
		return;
	keys->used = true;
	for (i = 0; fnat_cookie_key_lives(was, i, now) &&
	     keys->n < FNAT_COOKIE_KEYS; i++) {
		keys->key[keys->n] = was->key[i];
		/* One that was still to come now seals no later than its successor. */
		keys->since[keys->n++] = (s32)(was->since[i] - since) < 0 ?
					 was->since[i] : since;
	}
}

static int replace(struct fnat_net *fn, const siphash_key_t *key, bool given)
{
	struct fnat_cookie_keys *was, *keys;
	u32 now = fnat_cookie_window_now();
	u32 since = now;

	lockdep_assert_held(&fn->cfg);
	keys = kzalloc(sizeof(*keys), GFP_KERNEL);
	if (!keys)
		return -ENOMEM;
	was = fnat_cookie_keys(fn);
	/* Before the first cookie, as at boot, nothing has to be waited for. */
	if (given && is_known(was))
		since += GIVEN_AHEAD;
	fill(keys, was, key, since, now);
	keys->given = given;
	rcu_assign_pointer(fn->cookie_keys, keys);
	if (was)
		call_rcu(&was->rcu, free_keys);
	return 0;
}

static int renew(struct fnat_net *fn)
{
	siphash_key_t key;

	get_random_bytes(&key, sizeof(key));
	return replace(fn, &key, false);
}

static bool is_worn(const struct fnat_cookie_keys *keys, u32 window)
{
	return !keys->given && window - keys->since[0] >= KEY_WINDOWS;
}

static void new_key(struct work_struct *work)
{
	struct fnat_net *fn = container_of(work, struct fnat_net, new_key);

	mutex_lock(&fn->cfg);
	/* Without memory the old one seals until the next SYN asks. */
	if (is_worn(fnat_cookie_keys(fn), fnat_cookie_window_now()))
		renew(fn);
	mutex_unlock(&fn->cfg);
}

const siphash_key_t *fnat_cookie_key_seals(struct fnat_net *fn, u32 window)
{
	struct fnat_cookie_keys *keys = fnat_cookie_keys(fn);
	u32 i = 0;

	if (unlikely(is_worn(keys, window)))
		queue_work(fnat_wq, &fn->new_key);
	if (unlikely(!READ_ONCE(keys->used)))
		WRITE_ONCE(keys->used, true);
	while (i + 1 < keys->n && (s32)(window - keys->since[i]) < 0)
		i++;
	return &keys->key[i];
}

static int check(const siphash_key_t *key, struct netlink_ext_ack *ea)
{
	if (key->key[0] || key->key[1])
		return 0;
	NL_SET_ERR_MSG(ea,
		       "Everybody knows a key of zeros: take 16 random bytes");
	return -EINVAL;
}

int fnat_cookie_key_set(struct fnat_net *fn, const siphash_key_t *key,
			struct netlink_ext_ack *ea)
{
	const struct fnat_cookie_keys *was = fnat_cookie_keys(fn);
	int err;

	if (key) {
		err = check(key, ea);
		if (err)
			return err;
	}
	if (!!key == was->given &&
	    (!key || !memcmp(key, &was->key[0], sizeof(*key))))
		return 0;
	if (fnat_cookie_key_lives(was, FNAT_COOKIE_KEYS - 1,
				  fnat_cookie_window_now())) {
		NL_SET_ERR_MSG(ea,
			       "There may be cookies of two earlier keys: try again in six minutes");
		return -EBUSY;
	}
	return key ? replace(fn, key, true) : renew(fn);
}

int fnat_cookie_keys_init(struct fnat_net *fn)
{
	int err;

	INIT_WORK(&fn->new_key, new_key);
	mutex_lock(&fn->cfg);
	err = renew(fn);
	mutex_unlock(&fn->cfg);
	return err;
}

void fnat_cookie_keys_exit(struct fnat_net *fn)
{
	cancel_work_sync(&fn->new_key);
	kfree_sensitive(rcu_dereference_protected(fn->cookie_keys, true));
}
