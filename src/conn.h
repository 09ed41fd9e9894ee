/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A connection: one object that hangs in the connection table twice, by what
 * a client's packets look like and by what its server's packets look like.
 *
 * Life: fnat_conn_new() makes it, fnat_conn_publish() shows it to packets,
 * fnat_conn_kill() takes it out for good and frees it after a grace period.
 * Nobody counts references: packets hold it by RCU, the wheel until it dies.
 */
#ifndef FNAT_CONN_H
#define FNAT_CONN_H

#include <linux/cache.h>
#include <linux/in6.h>
#include <linux/netfilter.h>
#include <linux/rcupdate.h>
#include <linux/spinlock.h>
#include <net/dst.h>

#include "due.h"
#include "fnat.h"
#include "tcp_state.h"

struct fnat_dest;
struct fnat_dial;
struct fnat_lport;
struct fnat_lports;
struct fnat_pkt;

/* Bits of struct fnat_dir.flags. */
enum {
	FNAT_DIR_WSCALE	= 0x0f,	/* of windows this side announces */
	FNAT_DIR_S2C	= 0x10,	/* it is dir[FNAT_S2C] of its connection */
	FNAT_DIR_SENT	= 0x20,	/* seq_end holds something */
	FNAT_DIR_ACKED	= 0x40,	/* ack does */
	FNAT_DIR_STAMPED = 0x80, /* its timestamps are translated; see ts_off */
};

/*
 * All that a packet of one direction needs, in the one cache line that no
 * other direction writes. Of IPv6 it has a keyed hash of the addresses where
 * IPv4 has these; they themselves lie behind the connection.
 */
struct fnat_dir {
	unsigned long		next;		/* behind it; see conn_tab.c */
	/* Key: the packet as it comes in. */
	__be32			saddr;
	__be32			daddr;
	__be32			ports;		/* source, then destination */
	u32			l3mdev;
	/* And as it goes out. */
	union {
		__be32		new_saddr;
		u32		cookie;		/* IPv6: of @dst */
	};
	__be32			new_daddr;	/* IPv4 */
	__be32			new_ports;
	u8			proto;		/* key, too; with FNAT_PROTO_* */
	u8			flags;		/* FNAT_DIR_* */
	u16			win;		/* largest seen, unscaled */
	struct dst_entry __rcu	*dst;		/* we hold a reference */
	/* As this side numbers things, before translation. */
	union {
		struct {
			u32	seq_end;	/* past the highest byte sent */
			u32	ack;		/* highest it acknowledged */
		};
		/* Of dir[FNAT_S2C] in FNAT_TCP_S_SYN_SENT: under lock. */
		struct fnat_dial *dial;
	};
	u32			seq_off;	/* added to what it sends */
	u32			ack_off;	/* added to what it acknowledges */
};

static_assert(sizeof(struct fnat_dir) == 64);

/* Bits of struct fnat_conn.flags. */
enum {
	/* Under lock: not to be changed or killed; nobody may revive it. New ones, too. */
	FNAT_CONN_DEAD		= 0x01,
	FNAT_CONN_INACTIVE	= 0x02,	/* under lock; counted as InActConn */
	FNAT_CONN_DOUBTED	= 0x04,	/* under lock; CLOSE, if the RST was taken */
	FNAT_CONN_TEMPLATE	= 0x08,	/* fixed; see persist.h */
	/* Fixed; of one datagram and its answer, or of TCP a probe. */
	FNAT_CONN_ONEPACKET	= 0x10,
	FNAT_CONN_TS_LOST	= 0x20,	/* under lock; see fnat_lport_remember() */
	/* Fixed: of another forwarding method than FULLNAT. */
	FNAT_CONN_MASQ		= 0x40,	/* the server sees the client itself */
	FNAT_CONN_ROUTE		= 0x80,	/* and answers it without us */
};

/*
 * Bits of struct fnat_conn.proxied, which is 0 of what the SYN proxy has no part in.
 * The first three are set with its last state under lock; who changes the others
 * does so without, and may lose what another CPU has counted.
 */
enum {
	FNAT_PROXIED_STORM = 0x0f,	/* exchanges of ACKs; see fnat_track_storms() */
	FNAT_PROXIED_S2C = 0x10,	/* the server sent the last of those */
	FNAT_PROXIED_SPLICED = 0x20,	/* numbers are shifted both ways */
	FNAT_PROXIED_RESCALE = 0x40,	/* its scale is not FNAT_OFFER_SCALE */
	FNAT_PROXIED_UNSCALED = 0x80,	/* it has none, but the client was told one */
};

/* What stands in a key beside the protocol, which is below. */
#define FNAT_PROTO_TEMPLATE	0x80	/* no packet can have it */
#define FNAT_PROTO_IP6		0x40
#define FNAT_PROTO_MASK		0x3f

/* The ends of a connection; as these follow each other along its way. */
enum fnat_end {
	FNAT_END_CLIENT,
	FNAT_END_VIP,
	FNAT_END_LIP,
	FNAT_END_SERVER,
	FNAT_ENDS
};

struct fnat_conn {
	struct fnat_dir		dir[2];		/* by enum fnat_which */

	/* Read by every packet, written when something changes. */
	struct fnat_dest	*dest;		/* we hold a reference */
	u32			stamp;		/* s; of the last packet */
	u16			due;		/* fnat_conn_ahead(); wheel's lock */
	union {
		struct {
			u8	state;		/* enum fnat_state; under lock */
			u8	proxied;	/* FNAT_PROXIED_* */
		};
		__le16		state_alone;	/* if it has no FNAT_PROXIED_* */
	};
	u8			wheel;		/* of the CPU that made it */
	u8			flags;		/* FNAT_CONN_* */
	u16			port_index;	/* in @lports */
	/* For what both directions may change at once; outside the wheel's. */
	spinlock_t		lock;
	union {
		/* Where its LIP port came from; NULL: it has none. */
		struct fnat_lports	*lports;
		refcount_t		children;	/* template: and itself */
	};
	struct fnat_conn	*tmpl;		/* we hold a reference; or NULL */
	u32			ts_off[2];	/* by side: added to TSvals it sends */
	union {
		u32			hash[2];	/* by side, until it lives */
		struct hlist_node	due_node;	/* while it lives */
		struct rcu_head		rcu;		/* once it is dead */
	};
} __aligned(64);

/* One of IPv6, with the addresses of its ends in a line that is only read. */
struct fnat_conn6 {
	struct fnat_conn	conn;
	struct in6_addr		end[FNAT_ENDS];
};

struct fnat_bucket {
	unsigned long	head;			/* likewise; and a lock */
};

static inline enum fnat_which fnat_dir_which(const struct fnat_dir *d)
{
	return d->flags & FNAT_DIR_S2C ? FNAT_S2C : FNAT_C2S;
}

static inline struct fnat_conn *fnat_dir_conn(struct fnat_dir *d)
{
	return container_of(d, struct fnat_conn, dir[fnat_dir_which(d)]);
}

static inline struct fnat_dir *fnat_dir_other(struct fnat_dir *d)
{
	return &fnat_dir_conn(d)->dir[!fnat_dir_which(d)];
}

static inline u16 fnat_dir_af(const struct fnat_dir *d)
{
	return d->proto & FNAT_PROTO_IP6 ? AF_INET6 : AF_INET;
}

static inline u8 fnat_dir_proto(const struct fnat_dir *d)
{
	return d->proto & FNAT_PROTO_MASK;
}

/*
 * Of IPv6: the end that a packet of direction @d has in the place of @end when
 * it comes from the client: the server's packets go the same way backwards.
 */
static inline const struct in6_addr *fnat_dir_end6(const struct fnat_dir *d,
						   enum fnat_end end)
{
	enum fnat_which dir = fnat_dir_which(d);
	const struct fnat_conn6 *c6;

	c6 = container_of(d, struct fnat_conn6, conn.dir[dir]);
	return &c6->end[dir == FNAT_C2S ? end : FNAT_END_SERVER - end];
}

/*
 * Whether @c is a probe: of one SYN and its answer, with nobody for a client; see
 * probe.h.
 */
static inline bool fnat_conn_is_probe(const struct fnat_conn *c)
{
	return c->flags & FNAT_CONN_ONEPACKET &&
	       fnat_dir_proto(&c->dir[FNAT_C2S]) == IPPROTO_TCP;
}

int fnat_conn_cache_init(void);		/* for the whole module */
void fnat_conn_cache_exit(void);	/* waits for callbacks itself */

/*
 * Whether @c has an address of its own towards the server. If not the server
 * sees the client's, which then stands in the LIP's place.
 */
static inline bool fnat_conn_has_lip(const struct fnat_conn *c)
{
	return !(c->flags & (FNAT_CONN_MASQ | FNAT_CONN_ROUTE));
}

static inline bool fnat_dir_has_lip(const struct fnat_dir *d)
{
	return fnat_conn_has_lip(fnat_dir_conn((struct fnat_dir *)d));
}

/*
 * Whether a client may open anew over what is left of @c: both sides have closed
 * (RFC 9293 3.6.1), or with Route the one that is seen.
 */
static inline bool fnat_conn_has_closed(const struct fnat_conn *c)
{
	enum fnat_state state = READ_ONCE(c->state);

	if (c->flags & FNAT_CONN_DOUBTED)
		return false;
	return state == FNAT_TCP_S_CLOSE || fnat_state_lingers(state) ||
	       (c->flags & FNAT_CONN_ROUTE && state == FNAT_TCP_S_FIN_WAIT);
}

/* Address and port of an @end of @c; of a template's LIP there is none. RCU. */
union nf_inet_addr fnat_conn_addr(const struct fnat_conn *c,
				  enum fnat_end end);
__be16 fnat_conn_port(const struct fnat_conn *c, enum fnat_end end);
void fnat_conn_sockaddr(void *to, const struct fnat_conn *c,
			enum fnat_end end);	/* as fnat_addr_sockaddr() */

/*
 * A connection for @p, the first of its flow, to @dest by @lport, controlled by
 * @tmpl or NULL. It takes over the caller's references to all three unless NULL
 * comes back: no memory.
 */
struct fnat_conn *fnat_conn_new(const struct fnat_pkt *p,
				struct fnat_dest *dest,
				const struct fnat_lport *lport,
				struct fnat_conn *tmpl);

/*
 * From now on @c_off is added to the TCP timestamps that the client of @c
 * sends, and taken from what the server echoes; @s_off the other way round.
 * Before @c is published, or under its lock.
 */
void fnat_conn_shift_timestamps(struct fnat_conn *c, u32 c_off, u32 s_off);

/*
 * A template that @key, which no packet has, finds: to @dest, which the caller
 * has bound and which gets a reference more. NULL: no memory.
 */
struct fnat_conn *fnat_conn_new_template(const struct fnat_pkt *key,
					 struct fnat_dest *dest);

/* A reference to @tmpl; false if it is gone. RCU. And back, in any context. */
bool fnat_conn_get_template(struct fnat_conn *tmpl);
void fnat_conn_put_template(struct fnat_conn *tmpl);

/*
 * Puts @c into the table and on the wheel. If another CPU was faster with the
 * same flow, @c is freed. Returns the client's direction of the connection
 * that packets will find; NULL, and @c is freed, if the server's packets could
 * not be told from those of another connection, unless that has closed: such a
 * port is no use; or if both were to be each other's. RCU, bottom halves off.
 */
struct fnat_dir *fnat_conn_publish(struct fnat_net *fn, struct fnat_conn *c);

/*
 * Publishes @c, of the same client, in the place of @old, which dies: the client's
 * packets find one or the other. False, and @c is freed, if its server's packets
 * could not be told apart (as above), or if somebody else has killed @old. RCU,
 * bottom halves off.
 */
bool fnat_conn_replace(struct fnat_net *fn, struct fnat_conn *old,
		       struct fnat_conn *c);

/* @c, which was never published, is not to be: frees it. Bottom halves off. */
void fnat_conn_abandon(struct fnat_net *fn, struct fnat_conn *c);

/* Takes @c out of everything. Called twice it does nothing. RCU or no packets. */
void fnat_conn_kill(struct fnat_net *fn, struct fnat_conn *c);

/* Moves @c to @s and keeps its dest's counts right. Bottom halves off. */
void fnat_conn_set_state(struct fnat_net *fn, struct fnat_conn *c,
			 enum fnat_state s);

/* conn_tab.c: the table. */

int fnat_conn_tab_init(struct fnat_net *fn);	/* 0 or -ENOMEM */
void fnat_conn_tab_exit(struct fnat_net *fn);	/* all are dead by now */

/* The direction that @p belongs to; or NULL, and @p->hash is set. RCU. */
struct fnat_dir *fnat_conn_find(struct fnat_pkt *p);

/*
 * What tells where the connection hangs, if there is one, whose packets carry these
 * addresses and ports, and are otherwise as @p is (fn, af, l3mdev, proto): its hash.
 * And asks memory for that place, and later for what hangs there. RCU.
 */
u32 fnat_conn_seek(const struct fnat_pkt *p, const union nf_inet_addr *saddr,
		   const union nf_inet_addr *daddr, __be32 ports);
void fnat_conn_prefetch(const struct fnat_net *fn, u32 hash);

/* Gives @d, of IPv6, whose ends are set, the key of packets of @proto. */
void fnat_conn_key6(const struct fnat_net *fn, struct fnat_dir *d, u8 proto);

/* Whether packets of @a are packets of @b. */
bool fnat_conn_same_key(const struct fnat_dir *a, const struct fnat_dir *b);

/*
 * Puts @d into the table, where its connection's hash says, or returns the one that is
 * there before it. And takes it out. RCU, bottom halves off.
 */
struct fnat_dir *fnat_conn_link(const struct fnat_net *fn, struct fnat_dir *d);
void fnat_conn_unlink(const struct fnat_net *fn, struct fnat_dir *d);

/* Puts @d in the place of @old, which hangs there and has the same key. Likewise. */
void fnat_conn_exchange(const struct fnat_net *fn, struct fnat_dir *old,
			struct fnat_dir *d);

/*
 * A template answers no packet, every datagram of a one-packet service is the
 * first, and with Route servers answer without us: none is found from both
 * sides, and what is of the last two kinds from neither.
 */
static inline bool fnat_conn_hangs(const struct fnat_conn *c,
				   enum fnat_which side)
{
	return !(c->flags & (side == FNAT_S2C ?
			     FNAT_CONN_TEMPLATE | FNAT_CONN_ROUTE :
			     FNAT_CONN_ONEPACKET));
}

/*
 * For listings: the client's directions of what hangs in bucket @b, each
 * connection in one bucket only, one after the other; NULL at the end. RCU.
 */
struct fnat_dir *fnat_conn_next(const struct fnat_net *fn, u32 b,
				struct fnat_dir *d);

/* expire.c: the wheel. */

int fnat_wheel_init(struct fnat_net *fn);	/* 0 or -ENOMEM */

/* Kills every connection of @fn. No packet may be under way, timers may. May sleep. */
void fnat_wheel_exit(struct fnat_net *fn);

/* After that, and a grace period if there may have been timers. */
void fnat_wheel_free(struct fnat_net *fn);

/* Puts @c on its wheel; bottom halves off. */
void fnat_wheel_add(struct fnat_net *fn, struct fnat_conn *c);

/* Wheels in a namespace, at most; CPUs beyond share them. */
#define FNAT_WHEELS	256

/* Takes @c, which is dead, off its wheel; likewise. */
void fnat_wheel_del(struct fnat_net *fn, struct fnat_conn *c);

/* Makes sure that the wheel meets @c no later than it is to expire; likewise. */
void fnat_wheel_hurry(struct fnat_net *fn, struct fnat_conn *c);

/* Seconds, on the clock of stamps. */
static inline u32 fnat_now(void)
{
	return (u32)ktime_get_seconds();
}

/* Seconds that @c, as it is now, lives on after a packet. */
u32 fnat_conn_timeout(const struct fnat_net *fn, const struct fnat_conn *c);

/* Seconds until @c expires if nothing more comes; 0 if it is due. */
u32 fnat_conn_left(const struct fnat_net *fn, const struct fnat_conn *c);

/*
 * Seconds from @now until the wheel meets @c, which are few: less than can be
 * told apart by the 16 bits that are kept. Of what is not on it this says nothing.
 */
static inline s32 fnat_conn_ahead(const struct fnat_conn *c, u32 now)
{
	return fnat_due_ahead(READ_ONCE(c->due), now);
}

/* A packet came: @c lives on. Bottom halves off. */
static inline void fnat_conn_touch(struct fnat_net *fn, struct fnat_conn *c)
{
	u32 now = fnat_now();

	if (READ_ONCE(c->stamp) == now)
		return;
	WRITE_ONCE(c->stamp, now);
	/* Timeouts may have been lowered by hand. */
	if (fnat_conn_ahead(c, now) > (s32)fnat_conn_timeout(fn, c))
		fnat_wheel_hurry(fn, c);
}

#endif /* FNAT_CONN_H */
