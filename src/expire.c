// SPDX-License-Identifier: GPL-2.0
/*
 * The expiry wheel: one per CPU (up to 256), a slot per second. A packet never touches
 * it; it writes a stamp at most once a second. A connection sits in the slot
 * of the second in which it is to be looked at. If packets came meanwhile it
 * is put back by its stamp; if a state with a shorter timeout came, it has
 * been moved forward. Cost follows the number of connections, not the size of
 * their table, and a wheel without connections does not turn.
 */
#include <linux/slab.h>

#include "conn.h"
#include "dest.h"
#include "pkt.h"
#include "segment.h"
#include "svc.h"

struct fnat_wheel {
	/* Leaf lock. Guards all below and due, due_node of what is on it. */
	spinlock_t		lock;
	u32			now;	/* the last second that was done */
	u32			count;	/* connections on it */
	struct fnat_net		*fn;
	struct delayed_work	turn;
	struct hlist_head	slot[FNAT_DUE_SLOTS];
};

/* What a template waits at the most; once its time is up, for its connections. */
#define TEMPLATE_AGAIN	60

static u32 template_timeout(const struct fnat_dest *dest)
{
	/* Nobody is sent there any more. */
	if (READ_ONCE(dest->removed))
		return 0;
	return READ_ONCE(dest->svc->opts.timeout);
}

static u32 template_again(const struct fnat_dest *dest)
{
	u32 timeout = template_timeout(dest);

	return timeout ? min_t(u32, timeout, TEMPLATE_AGAIN) : TEMPLATE_AGAIN;
}

u32 fnat_conn_timeout(const struct fnat_net *fn, const struct fnat_conn *c)
{
	enum fnat_state state = READ_ONCE(c->state);
	u32 own;

	if (c->flags & FNAT_CONN_TEMPLATE)
		return template_timeout(c->dest);
	own = READ_ONCE(c->dest->svc->opts.est_timeout);
	if (own && (state == FNAT_TCP_S_ESTABLISHED || state == FNAT_S_UDP))
		return own;
	if (state == FNAT_TCP_S_SYN_RECV && READ_ONCE(fn->defence.secure_tcp))
		return min_t(u32, READ_ONCE(fn->timeout[state]),
			     FNAT_SECURE_SYN_RECV);
	return READ_ONCE(fn->timeout[state]);
}

u32 fnat_conn_left(const struct fnat_net *fn, const struct fnat_conn *c)
{
	s32 left = READ_ONCE(c->stamp) + fnat_conn_timeout(fn, c) - fnat_now();

	if (left <= 0 && c->flags & FNAT_CONN_TEMPLATE &&
	    refcount_read(&c->children) > 1)
		return template_again(c->dest);
	return max(left, 0);
}

static struct hlist_head *slot(struct fnat_wheel *w, u32 second)
{
	return &w->slot[second % FNAT_DUE_SLOTS];
}

/* Puts @c into the slot of its deadline; at the soonest the next one. */
static void enqueue(struct fnat_wheel *w, struct fnat_conn *c)
{
	u32 ahead = fnat_now() + fnat_conn_left(w->fn, c) - w->now;

	lockdep_assert_held(&w->lock);
	/* Nobody comes to tell that its server has been removed. */
	if (c->flags & FNAT_CONN_TEMPLATE)
		ahead = min_t(u32, ahead, TEMPLATE_AGAIN);
	WRITE_ONCE(c->due, fnat_due(w->now, ahead));
	hlist_add_head(&c->due_node, slot(w, c->due));
	w->count++;
}

static void dequeue(struct fnat_wheel *w, struct fnat_conn *c)
{
	lockdep_assert_held(&w->lock);
	hlist_del(&c->due_node);
	WRITE_ONCE(c->due, 0);
	w->count--;
}

void fnat_wheel_add(struct fnat_net *fn, struct fnat_conn *c)
{
	struct fnat_wheel *w = &fn->wheel[c->wheel];

	spin_lock(&w->lock);
	/* Packets may have found it, and one may have killed it. */
	if (!(READ_ONCE(c->flags) & FNAT_CONN_DEAD)) {
		if (!w->count) {
			w->now = fnat_now();
			queue_delayed_work(fnat_wq, &w->turn, HZ);
		}
		enqueue(w, c);
	}
	spin_unlock(&w->lock);
}

void fnat_wheel_del(struct fnat_net *fn, struct fnat_conn *c)
{
	struct fnat_wheel *w = &fn->wheel[c->wheel];

	spin_lock(&w->lock);
	if (c->due)
		dequeue(w, c);
	spin_unlock(&w->lock);
}

void fnat_wheel_hurry(struct fnat_net *fn, struct fnat_conn *c)
{
	struct fnat_wheel *w = &fn->wheel[c->wheel];

	spin_lock(&w->lock);
	/* Not on it: whoever looks at it will see, under lock, what we see. */
	if (c->due &&
	    fnat_conn_ahead(c, fnat_now()) > (s32)fnat_conn_left(fn, c)) {
		dequeue(w, c);
		enqueue(w, c);
	}
	spin_unlock(&w->lock);
}

/*
 * The next connection of second w->now, off the wheel, or NULL. RCU keeps it.
 */
static struct fnat_conn *take(struct fnat_wheel *w)
{
	struct fnat_conn *c;

	spin_lock_bh(&w->lock);
	c = hlist_entry_safe(slot(w, w->now)->first, struct fnat_conn, due_node);
	if (c)
		dequeue(w, c);
	spin_unlock_bh(&w->lock);
	return c;
}

/*
 * A RST to the end that sends as @to, as if from the other: with the sequence
 * number that it acknowledged last, the only one that it takes at once (RFC
 * 5961 3.2).
 */
static void reset_end(struct fnat_net *fn, const struct fnat_conn *c,
		      const struct fnat_dir *to, enum fnat_end from,
		      enum fnat_end end)
{
	const union nf_inet_addr saddr = fnat_conn_addr(c, from);
	const union nf_inet_addr daddr = fnat_conn_addr(c, end);
	const struct fnat_segment rst = {
		.saddr	= &saddr,
		.daddr	= &daddr,
		.af	= fnat_dir_af(to),
		.ports	= fnat_ports(fnat_conn_port(c, from),
				     fnat_conn_port(c, end)),
		.l3mdev	= to->l3mdev,
		.seq	= READ_ONCE(to->ack),
		.ack	= READ_ONCE(to->seq_end),
		.flags	= FNAT_TH_RST | FNAT_TH_ACK,
	};

	if (to->flags & FNAT_DIR_ACKED && !fnat_segment_send(fn, &rst))
		fnat_count(fn, FNAT_EV_EXPIRE_RST);
}

/* Nobody is to believe in a connection that is no more. */
static void tell_ends(struct fnat_net *fn, const struct fnat_conn *c)
{
	if (READ_ONCE(c->state) != FNAT_TCP_S_ESTABLISHED ||
	    !READ_ONCE(fn->tune.expire_rst))
		return;
	local_bh_disable();
	reset_end(fn, c, &c->dir[FNAT_C2S], FNAT_END_VIP, FNAT_END_CLIENT);
	reset_end(fn, c, &c->dir[FNAT_S2C], FNAT_END_LIP, FNAT_END_SERVER);
	local_bh_enable();
}

static void look_at(struct fnat_wheel *w, struct fnat_conn *c)
{
	bool over = false;

	spin_lock_bh(&w->lock);
	if (!(READ_ONCE(c->flags) & FNAT_CONN_DEAD)) {
		over = !fnat_conn_left(w->fn, c);
		if (!over)
			enqueue(w, c);
	}
	spin_unlock_bh(&w->lock);
	if (over) {
		tell_ends(w->fn, c);
		fnat_conn_kill(w->fn, c);
	}
}

static void kill(struct fnat_wheel *w, struct fnat_conn *c)
{
	fnat_conn_kill(w->fn, c);
}

/* What is due in second w->now, one by one, off the wheel, to @what. */
static void do_second(struct fnat_wheel *w,
		      void (*what)(struct fnat_wheel *w, struct fnat_conn *c))
{
	struct fnat_conn *c;

	do {
		cond_resched();
		rcu_read_lock();
		c = take(w);
		if (c)
			what(w, c);
		rcu_read_unlock();
	} while (c);
}

static void turn(struct work_struct *work)
{
	struct fnat_wheel *w = container_of(to_delayed_work(work),
					    struct fnat_wheel, turn);
	u32 now = fnat_now();

	while ((s32)(now - w->now) > 0) {
		spin_lock_bh(&w->lock);
		w->now++;
		spin_unlock_bh(&w->lock);
		do_second(w, look_at);
	}

	fnat_ahead_weigh(w->fn);

	spin_lock_bh(&w->lock);
	if (w->count)
		queue_delayed_work(fnat_wq, &w->turn, HZ);
	spin_unlock_bh(&w->lock);
}

static int wheels(void)
{
	return min_t(int, nr_cpu_ids, FNAT_WHEELS);
}

int fnat_wheel_init(struct fnat_net *fn)
{
	int i;

	fn->wheel = kvcalloc(wheels(), sizeof(*fn->wheel), GFP_KERNEL);
	if (!fn->wheel)
		return -ENOMEM;
	for (i = 0; i < wheels(); i++) {
		struct fnat_wheel *w = &fn->wheel[i];

		spin_lock_init(&w->lock);
		INIT_DELAYED_WORK(&w->turn, turn);
		w->fn = fn;
	}
	return 0;
}

/* What @w still has; timers of dials may be at work on the same. */
static void kill_all(struct fnat_wheel *w)
{
	int i;

	cancel_delayed_work_sync(&w->turn);
	for (i = 0; i < FNAT_DUE_SLOTS; i++) {
		w->now++;
		do_second(w, kill);
	}
}

void fnat_wheel_exit(struct fnat_net *fn)
{
	int i;

	if (!fn->wheel)
		return;
	for (i = 0; i < wheels(); i++)
		kill_all(&fn->wheel[i]);
}

void fnat_wheel_free(struct fnat_net *fn)
{
	kvfree(fn->wheel);
	fn->wheel = NULL;
}
