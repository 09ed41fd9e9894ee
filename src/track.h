/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a packet does to its connection: sequence numbers seen, state, time of
 * the last packet.
 */
#ifndef FNAT_TRACK_H
#define FNAT_TRACK_H

struct fnat_dir;
struct fnat_pkt;

/*
 * Notes that @p passes in direction @d of its connection. A segment that its
 * receiver would not take (RFC 5961), or that is corrupt, changes no state: it
 * is forwarded all the same, for the receiver knows best. RCU.
 */
void fnat_track(const struct fnat_pkt *p, struct fnat_dir *d);

/*
 * Whether @p, of a connection that the SYN proxy has spliced, is one of a storm: two
 * sides whose numbers disagree answer each ACK of the other's, which they do not
 * take, with one of their own (RFC 9293 3.10.7.4). One that is not passed on ends
 * it. To be asked before fnat_track(). RCU, bottom halves off.
 */
bool fnat_track_storms(const struct fnat_pkt *p, struct fnat_dir *d);

/*
 * Whether @p, a SYN of the client's, begins anew over what is left of the
 * connection of @d, its direction, or is at least no segment of the past (RFC
 * 9293 3.6.1, RFC 6191). If not the server is to judge. RCU.
 */
bool fnat_track_reopens(const struct fnat_pkt *p, const struct fnat_dir *d);

/*
 * Whether @p, an ACK, is from shortly before what @d's side has said and heard last:
 * a segment of this very connection, not the first of another one. RCU.
 */
bool fnat_track_is_late(const struct fnat_pkt *p, const struct fnat_dir *d);

#endif /* FNAT_TRACK_H */
