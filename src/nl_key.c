// SPDX-License-Identifier: GPL-2.0
#include <asm/byteorder.h>

#include "conn.h"
#include "cookie_key.h"
#include "nl.h"

/*
 * The 16 bytes of @attr, the same on directors of either endianness; they are not
 * left where they came in.
 */
static int parse_key(struct nlattr *attr, siphash_key_t *key,
		     struct netlink_ext_ack *ea)
{
	__le64 said[2];

	if (!attr || nla_len(attr) != sizeof(said)) {
		NL_SET_ERR_MSG_ATTR(ea, attr,
				    "A key has 16 bytes: 32 hex digits, as of openssl rand -hex 16");
		return -EINVAL;
	}
	memcpy(said, nla_data(attr), sizeof(said));
	memzero_explicit(nla_data(attr), sizeof(said));
	key->key[0] = le64_to_cpu(said[0]);
	key->key[1] = le64_to_cpu(said[1]);
	memzero_explicit(said, sizeof(said));
	return 0;
}

int fnat_nl_set_key(struct sk_buff *skb, struct genl_info *info)
{
	struct fnat_net *fn = fnat_nl_net(info);
	siphash_key_t key;
	int err;

	err = parse_key(info->attrs[FNAT_CMD_ATTR_SYNPROXY_KEY], &key,
			info->extack);
	if (err)
		return err;
	mutex_lock(&fn->cfg);
	err = fnat_cookie_key_set(fn, &key, info->extack);
	mutex_unlock(&fn->cfg);
	memzero_explicit(&key, sizeof(key));
	return err;
}

int fnat_nl_del_key(struct sk_buff *skb, struct genl_info *info)
{
	struct fnat_net *fn = fnat_nl_net(info);
	int err;

	mutex_lock(&fn->cfg);
	err = fnat_cookie_key_set(fn, NULL, info->extack);
	mutex_unlock(&fn->cfg);
	return err;
}

int fnat_nl_put_key_age(struct sk_buff *msg, const struct fnat_net *fn)
{
	const struct fnat_cookie_keys *keys;
	int err = 0;

	rcu_read_lock();
	keys = fnat_cookie_keys(fn);
	if (keys->k[0].given)
		err = nla_put_u32(msg, FNAT_INFO_ATTR_SYNPROXY_KEY_AGE,
				  fnat_now() - keys->set_at);
	rcu_read_unlock();
	return err;
}
