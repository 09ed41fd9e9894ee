/* SPDX-License-Identifier: GPL-2.0 */
/*
 * How connections begin: what a packet that belongs to none may do.
 */
#ifndef FNAT_BEGIN_H
#define FNAT_BEGIN_H

struct fnat_conn;
struct fnat_dir;
struct fnat_net;
struct fnat_pkt;
struct fnat_svc;

/*
 * The direction of a connection to @svc (NULL: to no service) that @p begins; or
 * NULL and the verdict, which for what is not ours is NF_ACCEPT. RCU, bottom halves
 * off.
 */
struct fnat_dir *fnat_begin(const struct fnat_pkt *p, struct fnat_svc *svc,
			    unsigned int *verdict);

/*
 * Whether @p is for nothing that is left of the connection of @d, which has closed
 * on both sides: the client begins anew, by a SYN (RFC 9293 3.6.1) or a cookie, and
 * @d is dead. To a SYN that is answered with one the old connection is no obstacle
 * yet, and stays. @find tells which service @p would be for, perhaps another by now.
 * RCU, bottom halves off.
 */
bool fnat_begins_anew(const struct fnat_pkt *p, struct fnat_dir *d,
		      struct fnat_svc *(*find)(const struct fnat_pkt *p));

/*
 * A connection of the client of @was, whose first number is @isn, to another server
 * of its service, for fnat_conn_replace(); or NULL. A persistent client moves there
 * for good. RCU, bottom halves off.
 */
struct fnat_conn *fnat_begin_elsewhere(struct fnat_net *fn,
				       const struct fnat_conn *was, u32 isn);

#endif /* FNAT_BEGIN_H */
