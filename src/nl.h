/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The generic netlink family "IPVS". nl.c holds the family, its policies and
 * what speaks of no object; each kind of object has a file of its own.
 *
 * Upstream commands take unknown attributes and unflagged nests, as they do
 * upstream; commands 18 and up are validated strictly. Handlers take fn->cfg.
 */
#ifndef FNAT_NL_H
#define FNAT_NL_H

#include <net/genetlink.h>

#include "dest.h"
#include "svc.h"

#define FNAT_ADDR_LEN	16	/* every address on its way out */

extern struct genl_family fnat_genl_family;
extern const struct nla_policy fnat_svc_policy[FNAT_SVC_ATTR_MAX + 1];
extern const struct nla_policy fnat_dest_policy[IPVS_DEST_ATTR_MAX + 1];
extern const struct nla_policy fnat_laddr_policy[FNAT_LADDR_ATTR_MAX + 1];
extern const struct nla_policy fnat_conn_policy[FNAT_CONN_ATTR_MAX + 1];

int fnat_nl_init(void);
void fnat_nl_exit(void);

static inline struct fnat_net *fnat_nl_net(struct genl_info *info)
{
	return fnat_net(genl_info_net(info));
}

/*
 * The service that the nest @attr names, in @key. -EINVAL, -EAFNOSUPPORT or
 * -EOPNOTSUPP with a sentence. @tb (FNAT_SVC_ATTR_MAX + 1) keeps the rest of
 * the nest for the caller.
 */
int fnat_nl_svc_key(const struct nlattr *attr, struct fnat_svc_key *key,
		    struct nlattr **tb, struct netlink_ext_ack *ea);

/*
 * The same, looked up: borrowed while the caller holds fn->cfg; an ERR_PTR,
 * -ESRCH if there is none.
 */
struct fnat_svc *fnat_nl_svc(struct fnat_net *fn, const struct nlattr *attr,
			     struct netlink_ext_ack *ea);

/* 0, or -EAFNOSUPPORT with a sentence. */
int fnat_nl_family(u16 af, struct netlink_ext_ack *ea);

/* Reads an address of family @af (4 to 16 bytes). -EINVAL with a sentence. */
int fnat_nl_addr(const struct nlattr *attr, u16 af, union nf_inet_addr *addr,
		 struct netlink_ext_ack *ea);

/*
 * Reads into @opts what a service command says of the SYN proxy; what it does not
 * say stays as it is. -EINVAL with a sentence. And puts it all into @msg, with what
 * the SYN proxy has done: 0 or -EMSGSIZE.
 */
int fnat_nl_parse_synproxy(const struct fnat_svc_key *key, struct nlattr **tb,
			   struct fnat_svc_opts *opts,
			   struct netlink_ext_ack *ea);
int fnat_nl_put_synproxy(struct sk_buff *msg, const struct fnat_svc *svc);

/* The statements that put an object into @msg: 0 or -EMSGSIZE. */
int fnat_nl_put_svc_key(struct sk_buff *msg, const struct fnat_svc_key *key);
int fnat_nl_put_stats(struct sk_buff *msg, const struct fnat_stats *s,
		      int attr32, int attr64);
int fnat_nl_put_svc(struct sk_buff *msg, const struct fnat_svc *svc);

/* When the operator has set the key of the SYN proxy, if so. */
int fnat_nl_put_key_age(struct sk_buff *msg, const struct fnat_net *fn);

/* One message of a dump; NULL if it does not fit. */
static inline void *fnat_nl_dump_start(struct sk_buff *msg,
				       struct netlink_callback *cb, u8 cmd)
{
	return genlmsg_put(msg, NETLINK_CB(cb->skb).portid, cb->nlh->nlmsg_seq,
			   &fnat_genl_family, NLM_F_MULTI, cmd);
}

int fnat_nl_new_svc(struct sk_buff *skb, struct genl_info *info);
int fnat_nl_set_svc(struct sk_buff *skb, struct genl_info *info);
int fnat_nl_del_svc(struct sk_buff *skb, struct genl_info *info);
int fnat_nl_get_svc(struct sk_buff *skb, struct genl_info *info);
int fnat_nl_dump_svc(struct sk_buff *msg, struct netlink_callback *cb);
int fnat_nl_zero(struct sk_buff *skb, struct genl_info *info);
int fnat_nl_flush(struct sk_buff *skb, struct genl_info *info);

int fnat_nl_new_dest(struct sk_buff *skb, struct genl_info *info);
int fnat_nl_set_dest(struct sk_buff *skb, struct genl_info *info);
int fnat_nl_del_dest(struct sk_buff *skb, struct genl_info *info);
int fnat_nl_dump_dest(struct sk_buff *msg, struct netlink_callback *cb);

int fnat_nl_new_laddr(struct sk_buff *skb, struct genl_info *info);
int fnat_nl_del_laddr(struct sk_buff *skb, struct genl_info *info);
int fnat_nl_dump_laddr(struct sk_buff *msg, struct netlink_callback *cb);

int fnat_nl_dump_conn(struct sk_buff *msg, struct netlink_callback *cb);

int fnat_nl_set_key(struct sk_buff *skb, struct genl_info *info);
int fnat_nl_del_key(struct sk_buff *skb, struct genl_info *info);

#endif /* FNAT_NL_H */
