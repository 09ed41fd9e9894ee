// SPDX-License-Identifier: GPL-2.0
/* The pure files of the module, by example. Says nothing but what fails. */
#include <stdio.h>
#include <stdlib.h>

#include "cookie.h"
#include "due.h"
#include "shuffle.h"
#include "tcp_state.h"
#include "tcpopt.h"

static int failures;

#define EXPECT(cond)							\
	do {								\
		if (!(cond)) {						\
			printf("%s:%d: not so: %s\n", __FILE__,		\
			       __LINE__, #cond);			\
			failures++;					\
		}							\
	} while (0)

/* Every index goes to a place of its own, in every size a range can have. */
static void shuffle_is_a_permutation(void)
{
	static const u32 sizes[] = { 1, 2, 3, 8, 100, 511, 513, 4096, 64511,
				     65536 };
	static u8 seen[65536];
	size_t s;
	u32 i;

	for (s = 0; s < ARRAY_SIZE(sizes); s++) {
		struct fnat_shuffle sh = { .key = { 1, 0xdeadbeef, 3, s } };

		fnat_shuffle_init(&sh, sizes[s]);
		memset(seen, 0, sizeof(seen));
		for (i = 0; i < sizes[s]; i++) {
			u32 to = fnat_shuffle(&sh, i);

			EXPECT(to < sizes[s]);
			EXPECT(!seen[to % sizeof(seen)]);
			seen[to % sizeof(seen)] = 1;
		}
	}
}

/* Another key, another order; neighbours do not stay neighbours. */
static void shuffle_depends_on_its_key(void)
{
	struct fnat_shuffle a = { .key = { 1, 2, 3, 4 } };
	struct fnat_shuffle b = { .key = { 1, 2, 3, 5 } };
	u32 i, same = 0, next = 0;

	fnat_shuffle_init(&a, 64511);
	fnat_shuffle_init(&b, 64511);
	for (i = 0; i < 1000; i++) {
		same += fnat_shuffle(&a, i) == fnat_shuffle(&b, i);
		next += fnat_shuffle(&a, i + 1) == fnat_shuffle(&a, i) + 1;
	}
	EXPECT(same < 50);
	EXPECT(next < 50);
}

static void timestamp_is_stripped(void)
{
	/* MSS 1460, SACK permitted, timestamp, NOP, window scale 7. */
	u8 syn[] = { 2, 4, 5, 0xb4, 4, 2, 8, 10, 1, 2, 3, 4, 0, 0, 0, 0,
		     1, 3, 3, 7 };
	static const u8 want[] = { 2, 4, 5, 0xb4, 4, 2, 1, 1, 1, 1, 1, 1, 1, 1,
				   1, 1, 1, 3, 3, 7 };

	EXPECT(fnat_tcpopt_wscale(syn, sizeof(syn)) == 7);
	EXPECT(fnat_tcpopt_strip_timestamp(syn, sizeof(syn)));
	EXPECT(!memcmp(syn, want, sizeof(syn)));
	EXPECT(!fnat_tcpopt_strip_timestamp(syn, sizeof(syn)));
	EXPECT(fnat_tcpopt_wscale(syn, sizeof(syn)) == 7);
}

/* Both values move, each by its own; over the edge, too. */
static void timestamps_move(void)
{
	u8 opt[] = { 1, 1, 8, 10, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 3 };
	static const u8 want[] = { 1, 1, 8, 10, 0, 0, 0, 1, 0xff, 0xff, 0xff,
				   0xfe };
	u32 val, ecr;

	EXPECT(fnat_tcpopt_timestamp(opt, sizeof(opt), &val, &ecr));
	EXPECT(val == 0xffffffff && ecr == 3);
	EXPECT(fnat_tcpopt_shift_timestamp(opt, sizeof(opt), 2, -5));
	EXPECT(!memcmp(opt, want, sizeof(opt)));
	/* Any other length makes it something else. */
	opt[3] = 9;
	EXPECT(!fnat_tcpopt_timestamp(opt, sizeof(opt), &val, &ecr));
	EXPECT(!fnat_tcpopt_shift_timestamp(opt, sizeof(opt), 1, 1));
	EXPECT(!fnat_tcpopt_shift_timestamp(opt, 11, 1, 1));
}

/* Hosts believe the last of several: none of them is left as it was. */
static void all_of_several_are_meant(void)
{
	u8 two[] = { 8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 8, 10, 0, 0, 0, 3, 0, 0, 0, 4 };
	static const u8 moved[] = { 8, 10, 0, 0, 0, 6, 0, 0, 0, 9,
				    8, 10, 0, 0, 0, 8, 0, 0, 0, 11 };
	u8 scales[] = { 3, 3, 2, 3, 3, 9, 3, 4, 1, 1, 0, 0 };
	u8 sacks[] = { 5, 10, 0, 0, 0, 1, 0, 0, 0, 2, 5, 10, 0, 0, 0, 3, 0, 0, 0, 4 };
	u32 val, ecr;

	EXPECT(fnat_tcpopt_timestamp(two, sizeof(two), &val, &ecr));
	EXPECT(val == 3 && ecr == 4);
	EXPECT(fnat_tcpopt_shift_timestamp(two, sizeof(two), 5, 7));
	EXPECT(!memcmp(two, moved, sizeof(two)));
	EXPECT(fnat_tcpopt_strip_timestamp(two, sizeof(two)));
	EXPECT(!fnat_tcpopt_timestamp(two, sizeof(two), &val, &ecr));
	EXPECT(fnat_tcpopt_wscale(scales, sizeof(scales)) == 9);
	EXPECT(fnat_tcpopt_shift_sack(sacks, sizeof(sacks), 1));
	EXPECT(sacks[5] == 2 && sacks[9] == 3 && sacks[15] == 4 && sacks[19] == 5);
}

static void sack_edges_move(void)
{
	u8 opt[] = { 1, 1, 5, 18, 0, 0, 0, 10, 0, 0, 0, 20,
		     0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0 };
	static const u8 want[] = { 1, 1, 5, 18, 0, 0, 0, 15, 0, 0, 0, 25,
				   0, 0, 0, 4, 0, 0, 0, 5 };

	EXPECT(fnat_tcpopt_shift_sack(opt, sizeof(opt), 5));
	EXPECT(!memcmp(opt, want, sizeof(opt)));
	EXPECT(fnat_tcpopt_shift_sack(opt, sizeof(opt), -5));
	EXPECT(opt[7] == 10 && opt[16] == 0 && opt[15] == 0xff);
}

/* Options that lie about their length are left alone. */
static void broken_options_are_left_alone(void)
{
	static const u8 broken[][4] = {
		{ 8, 10, 0, 0 }, { 3, 0, 7, 0 }, { 3, 1, 7, 0 }, { 1, 1, 1, 3 },
		{ 0, 3, 3, 7 }, { 5, 4, 0, 0 }, { 3, 4, 7, 7 },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(broken); i++) {
		/* On the heap, for the sanitizer to see its end. */
		u8 *opt = malloc(4);

		memcpy(opt, broken[i], 4);
		EXPECT(fnat_tcpopt_wscale(opt, 4) == -1);
		EXPECT(!fnat_tcpopt_strip_timestamp(opt, 4));
		EXPECT(!fnat_tcpopt_shift_timestamp(opt, 4, 1, 1));
		EXPECT(!fnat_tcpopt_shift_sack(opt, 4, 1));
		EXPECT(!memcmp(opt, broken[i], 4));
		free(opt);
	}
}

static void window_scale_is_capped(void)
{
	static const u8 opt[] = { 3, 3, 15, 0 };

	EXPECT(fnat_tcpopt_wscale(opt, sizeof(opt)) == 14);
	EXPECT(fnat_tcpopt_wscale(opt, 0) == -1);
}

static void offers_are_read_and_written(void)
{
	static const struct fnat_tcpopt_offer offers[] = {
		{ 1460, 7, true }, { 8960, 0, false }, { 0, -1, true },
		{ 536, -1, false }, { 0, 14, false },
		{ 1460, 7, true, false, true, 0xfffffffe, 5 },
		{ 0, -1, false, false, true, 1, 0 },
	};
	struct fnat_tcpopt_offer got;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(offers); i++) {
		u8 *opt = malloc(FNAT_TCPOPT_OFFER_LEN);
		unsigned int len = fnat_tcpopt_write(opt, &offers[i]);

		EXPECT(len <= FNAT_TCPOPT_OFFER_LEN && len % 4 == 0);
		fnat_tcpopt_read(opt, len, &got);
		EXPECT(got.mss == offers[i].mss);
		EXPECT(got.wscale == offers[i].wscale);
		EXPECT(got.sack == offers[i].sack && !got.ecn);
		EXPECT(got.stamped == offers[i].stamped);
		EXPECT(got.tsval == offers[i].tsval && got.tsecr == offers[i].tsecr);
		free(opt);
	}
	fnat_tcpopt_read((const u8 *)"\2\3\5\3\4", 5, &got);
	EXPECT(!got.mss && got.wscale == -1 && !got.sack);
}

/* What a cookie tells is what was offered, with the MSS rounded down. */
static void cookies_tell_what_they_were_told(void)
{
	static const u16 mss[][2] = {
		{ 0, 216 }, { 216, 216 }, { 535, 216 }, { 536, 536 },
		{ 1300, 1220 }, { 1452, 1440 }, { 1460, 1460 },
		{ 8959, 1460 }, { 8960, 8960 }, { 65535, 8960 },
	};
	struct fnat_tcpopt_offer offer, got;
	size_t i;
	int scale;
	u32 c;

	for (i = 0; i < ARRAY_SIZE(mss); i++)
		for (scale = -1; scale <= 14; scale++) {
			offer = (struct fnat_tcpopt_offer){ mss[i][0], scale, i & 1 };
			got = (struct fnat_tcpopt_offer){ .tsecr = 0x3f };
			c = fnat_cookie_make(0x123456789abcdef0, i, &offer);
			EXPECT(fnat_cookie_open(0x123456789abcdef0, c, &got));
			EXPECT(got.mss == mss[i][1]);
			EXPECT(got.wscale == scale && got.sack == (i & 1));
			EXPECT(!fnat_cookie_open(0x123456789abcdef1, c, &got));
		}
}

/* Beside a timestamp there is room for ECN, and for more of the seal. */
static void stamped_cookies_tell_what_they_were_told(void)
{
	const u64 seal = 0x123456789abcdef0;
	struct fnat_tcpopt_offer offer, got;
	int scale, i;
	u32 c;

	for (scale = -1; scale <= 14; scale++)
		for (i = 0; i < 4; i++) {
			offer = (struct fnat_tcpopt_offer){ 1400, scale, i & 1, i & 2, true };
			got = (struct fnat_tcpopt_offer){ .stamped = true };
			got.tsecr = fnat_cookie_stamp(0xfffffff0 + i, &offer);
			EXPECT(got.tsecr >> 6 == 0xfffffff0 >> 6);
			c = fnat_cookie_make(seal, i, &offer);
			EXPECT(fnat_cookie_open(seal, c, &got));
			EXPECT(got.mss == 1400 && got.wscale == scale);
			EXPECT(got.sack == (i & 1) && got.ecn == !!(i & 2));
			EXPECT(!fnat_cookie_open(seal ^ 1ULL << 32, c, &got));
			EXPECT(!fnat_cookie_open(seal ^ 1ULL << 59, c, &got));
			/* It does not pass for one of the other form. */
			got.stamped = false;
			EXPECT(!fnat_cookie_open(seal, c, &got));
		}
}

/* Now and a window ago it is known which one it was; later it is taken for another. */
static void cookies_age(void)
{
	const struct fnat_tcpopt_offer offer = { 1460, 7, true };
	u32 w, c;

	for (w = 1000; w < 1002; w++) {
		c = fnat_cookie_make(42, w, &offer);
		EXPECT(fnat_cookie_window(c, w) == w);
		EXPECT(fnat_cookie_window(c, w + 1) == w);
		EXPECT(fnat_cookie_window(c, w + 2) != w);
		EXPECT(fnat_cookie_window(c, w - 1) != w);
	}
}

/* Of all sequence numbers, those that a seal lets pass are 2^8 in each window. */
static void cookies_are_hard_to_forge(void)
{
	struct fnat_tcpopt_offer got = {};
	u64 c, passed = 0;

	for (c = 0; c < 1ULL << 32; c += 1 << 9 | 1)
		passed += fnat_cookie_open(0xfedcba9876543210, c, &got);
	EXPECT(passed <= 8);
	for (passed = 0, c = 0x543210 & 0x7fffff; c < 1ULL << 32; c += 1 << 23)
		passed += fnat_cookie_open(0xfedcba9876543210, c, &got);
	EXPECT(passed == 512);
	/* With any timestamp: eight MSS in each window. */
	for (passed = 0, c = 0xedcba98; c < 1ULL << 32; c += 1 << 28) {
		got = (struct fnat_tcpopt_offer){ .stamped = true, .tsecr = c };
		passed += fnat_cookie_open(0xfedcba9876543210, c, &got);
	}
	EXPECT(passed == 16);
	for (passed = 0, c = 0; c < 1ULL << 32; c += 1 << 9 | 1) {
		got = (struct fnat_tcpopt_offer){ .stamped = true, .tsecr = c };
		passed += fnat_cookie_open(0xfedcba9876543210, c, &got);
	}
	EXPECT(passed <= 1);
}

struct step {
	enum fnat_which		dir;
	enum fnat_tcp_event	ev;
	enum fnat_state		want;
};

static void walk(const struct step *step, size_t n)
{
	enum fnat_state s = FNAT_TCP_S_SYN_RECV;
	size_t i;

	for (i = 0; i < n; i++) {
		s = fnat_tcp_next(s, step[i].dir, step[i].ev);
		if (s != step[i].want)
			printf("step %zu: %s, not %s\n", i, fnat_state_name(s),
			       fnat_state_name(step[i].want));
		EXPECT(s == step[i].want);
	}
}

#define WALK(...)							\
	do {								\
		static const struct step steps[] = { __VA_ARGS__ };	\
		walk(steps, ARRAY_SIZE(steps));		\
	} while (0)

static void states_follow_each_other(void)
{
	/* The server closes first. */
	WALK({ FNAT_S2C, FNAT_TCP_EV_NONE, FNAT_TCP_S_SYN_RECV },
	     { FNAT_C2S, FNAT_TCP_EV_ACK_SYN, FNAT_TCP_S_ESTABLISHED },
	     { FNAT_S2C, FNAT_TCP_EV_FIN, FNAT_TCP_S_FIN_WAIT },
	     { FNAT_C2S, FNAT_TCP_EV_ACK_FIN, FNAT_TCP_S_FIN_WAIT },
	     { FNAT_S2C, FNAT_TCP_EV_FIN, FNAT_TCP_S_FIN_WAIT },
	     { FNAT_C2S, FNAT_TCP_EV_FIN, FNAT_TCP_S_TIME_WAIT },
	     { FNAT_S2C, FNAT_TCP_EV_NONE, FNAT_TCP_S_TIME_WAIT });
	/* The client does. */
	WALK({ FNAT_C2S, FNAT_TCP_EV_ACK_SYN, FNAT_TCP_S_ESTABLISHED },
	     { FNAT_C2S, FNAT_TCP_EV_FIN, FNAT_TCP_S_CLOSE_WAIT },
	     { FNAT_C2S, FNAT_TCP_EV_ACK_FIN, FNAT_TCP_S_CLOSE_WAIT },
	     { FNAT_S2C, FNAT_TCP_EV_FIN, FNAT_TCP_S_LAST_ACK },
	     { FNAT_C2S, FNAT_TCP_EV_NONE, FNAT_TCP_S_LAST_ACK },
	     { FNAT_C2S, FNAT_TCP_EV_ACK_FIN, FNAT_TCP_S_CLOSE });
	/* Somebody gives up. */
	WALK({ FNAT_C2S, FNAT_TCP_EV_ACK_SYN, FNAT_TCP_S_ESTABLISHED },
	     { FNAT_S2C, FNAT_TCP_EV_RST, FNAT_TCP_S_CLOSE },
	     { FNAT_C2S, FNAT_TCP_EV_FIN, FNAT_TCP_S_CLOSE },
	     { FNAT_C2S, FNAT_TCP_EV_ACK_SYN, FNAT_TCP_S_CLOSE });
}

static void states_say_who_they_are(void)
{
	u32 timeout[FNAT_TCP_S_MAX + 1];
	int s;

	fnat_state_timeouts(timeout);
	EXPECT(timeout[FNAT_TCP_S_ESTABLISHED] == 900);
	EXPECT(timeout[FNAT_S_UDP] == 300);
	for (s = 0; s <= FNAT_TCP_S_MAX; s++) {
		EXPECT(strlen(fnat_state_name(s)) <= 15);
		EXPECT(timeout[s] > 0);
		EXPECT(!fnat_state_lingers(s) || !fnat_state_active(s));
	}
}

/* With Route the client's side says all that there is to know. */
static void states_of_one_side(void)
{
	static const struct {
		enum fnat_state		from;
		enum fnat_tcp_event	ev;
		enum fnat_state		want;
	} steps[] = {
		{ FNAT_TCP_S_SYN_RECV, FNAT_TCP_EV_NONE, FNAT_TCP_S_SYN_RECV },
		{ FNAT_TCP_S_SYN_RECV, FNAT_TCP_EV_ACK_SYN, FNAT_TCP_S_ESTABLISHED },
		{ FNAT_TCP_S_SYN_RECV, FNAT_TCP_EV_FIN, FNAT_TCP_S_TIME_WAIT },
		{ FNAT_TCP_S_ESTABLISHED, FNAT_TCP_EV_ACK_SYN, FNAT_TCP_S_ESTABLISHED },
		{ FNAT_TCP_S_ESTABLISHED, FNAT_TCP_EV_FIN, FNAT_TCP_S_FIN_WAIT },
		{ FNAT_TCP_S_FIN_WAIT, FNAT_TCP_EV_ACK_SYN, FNAT_TCP_S_FIN_WAIT },
		{ FNAT_TCP_S_FIN_WAIT, FNAT_TCP_EV_FIN, FNAT_TCP_S_FIN_WAIT },
		{ FNAT_TCP_S_TIME_WAIT, FNAT_TCP_EV_ACK_SYN, FNAT_TCP_S_TIME_WAIT },
		{ FNAT_TCP_S_FIN_WAIT, FNAT_TCP_EV_RST, FNAT_TCP_S_CLOSE },
		{ FNAT_TCP_S_CLOSE, FNAT_TCP_EV_FIN, FNAT_TCP_S_CLOSE },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(steps); i++)
		EXPECT(fnat_tcp_next_alone(steps[i].from, steps[i].ev) ==
		       steps[i].want);
}

/* At any time a wheel meets what it puts back in another slot than that it is at. */
static void wheel_goes_on(void)
{
	s32 ahead;
	u32 now;

	for (now = 0xffff0000; now != 0x10000; now++) {
		for (ahead = -2; ahead < 1100; ahead += ahead < 900 ? 111 : 1) {
			u16 due = fnat_due(now, ahead);

			EXPECT(due);
			EXPECT(due % FNAT_DUE_SLOTS != now % FNAT_DUE_SLOTS);
			EXPECT(fnat_due_ahead(due, now) >= 1);
			EXPECT(fnat_due_ahead(due, now) <= (ahead > 1 ? ahead + 1 : 2));
		}
	}
}

int main(void)
{
	shuffle_is_a_permutation();
	shuffle_depends_on_its_key();
	timestamp_is_stripped();
	timestamps_move();
	all_of_several_are_meant();
	sack_edges_move();
	broken_options_are_left_alone();
	window_scale_is_capped();
	offers_are_read_and_written();
	cookies_tell_what_they_were_told();
	stamped_cookies_tell_what_they_were_told();
	cookies_age();
	cookies_are_hard_to_forge();
	states_follow_each_other();
	states_say_who_they_are();
	states_of_one_side();
	wheel_goes_on();
	return failures != 0;
}
