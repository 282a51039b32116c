package session

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// kept is a session as it stands in Redis.
type kept struct {
	digest  digest
	session Session
	owner   owner
	grant   grantState
}

// List is of [Store].
func (r *Redis) List(ctx context.Context, which Which) ([]Session, error) {
	found, err := r.selected(ctx, which)
	if err != nil {
		return nil, err
	}
	sessions := make([]Session, 0, len(found))
	for _, k := range found {
		k.session.Refresh, k.session.IDToken, k.session.Access = "", "", ""
		sessions = append(sessions, k.session)
	}
	return sessions, nil
}

// Revoke is of [Store]. Whole users lose their grant, and with it every session
// whether an index names it or not.
func (r *Redis) Revoke(ctx context.Context, which Which) (int, error) {
	found, err := r.selected(ctx, which)
	tags := tagsOf(which, sessionsOf(found))
	now := r.o.Now()
	for _, k := range tags { // here at once, whatever Redis answers
		r.bearers.revoke(k, now)
	}
	ended, err := r.endAll(ctx, which, found, err)
	return ended, errors.Join(err, r.tellRevoked(ctx, tags, now))
}

// endAll ends the sessions that were found; failed is why they were not.
func (r *Redis) endAll(ctx context.Context, which Which, found []kept, failed error) (int, error) {
	if failed != nil {
		if which.ID != "" {
			r.endLater(which.ID)
		}
		return 0, failed
	}
	if which.ID != "" && which == (Which{ID: which.ID}) && len(found) == 0 { // Redis has lost it, memory may not have
		r.memory.hear([]change{{id: which.ID}})
		return 0, r.spread(ctx, change{id: which.ID})
	}
	users := map[owner]uint64{}
	ended := 0
	for _, k := range found {
		if which.ID == "" && which.IssuerSession == "" {
			users[k.owner] = max(users[k.owner], k.grant.birth)
			ended++
			continue
		}
		if err := r.endSession(ctx, k); err != nil {
			r.endLater(k.session.ID)
			return ended, err
		}
		ended++
	}
	if which.Issuer != "" && which.Subject != "" && which.ID == "" && which.IssuerSession == "" && which.Email == "" {
		users[ownerOf(which.Issuer, which.Subject)] = 0 // also where the index has lost them
	}
	for by, birth := range users {
		if err := r.endUser(ctx, by, birth); err != nil {
			return 0, err
		}
	}
	return ended, nil
}

func sessionsOf(found []kept) []Session {
	sessions := make([]Session, len(found))
	for i := range found {
		sessions[i] = found[i].session
	}
	return sessions
}

// endLater ends a session in this replica, since Redis does not answer, and has it
// deleted there once it does.
func (r *Redis) endLater(id string) {
	o := r.memory.findID(id)
	if o == nil || o.digest == (digest{}) {
		return
	}
	r.memory.forget(o)
	r.owe("end "+id, func(ctx context.Context) error {
		pipe := r.client().Pipeline()
		pipe.Del(ctx, o.digest.record())
		pipe.Del(ctx, idKey(id))
		if err := r.exec(ctx, pipe); err != nil {
			return err
		}
		return r.spread(ctx, change{id: id})
	})
}

// endSession deletes one session, and the grant with the last of its user.
func (r *Redis) endSession(ctx context.Context, k kept) error {
	pipe := r.client().Pipeline()
	pipe.Del(ctx, k.digest.record())
	pipe.Del(ctx, idKey(k.session.ID))
	pipe.ZRem(ctx, redisAll, k.digest.String())
	pipe.ZRem(ctx, k.owner.sessions(), k.digest.String())
	left := pipe.ZCard(ctx, k.owner.sessions())
	if err := r.exec(ctx, pipe); err != nil {
		return err
	}
	gone := change{id: k.session.ID}
	r.memory.hear([]change{gone})
	if left.Err() == nil && left.Val() == 0 { // a login since then has raised the fence
		if err := r.answer(ctx, endScript.Run(ctx, r.client(), []string{k.owner.grant()}, k.grant.fence).Err()); err != nil {
			r.o.Log.Debug("a grant that nobody uses stays in redis until it expires", "err", err)
		}
	}
	return r.spread(ctx, gone)
}

// endUser deletes a user's grant: all sessions that stand on it are over.
func (r *Redis) endUser(ctx context.Context, by owner, birth uint64) error {
	text, err := r.client().HGet(ctx, by.grant(), "n").Result()
	if err := r.answer(ctx, err); err == nil {
		var now uint64
		if _, err := fmt.Sscan(text, &now); err == nil {
			birth = max(birth, now)
		}
	} else if !errors.Is(err, errGone) {
		return err
	}
	if err := r.answer(ctx, r.client().Del(ctx, by.grant()).Err()); err != nil {
		return err
	}
	gone := change{owner: by, birth: birth}
	r.memory.hear([]change{gone})
	if err := r.spread(ctx, gone); err != nil {
		return err
	}
	if err := r.sweep(ctx, by, birth); err != nil {
		r.o.Log.Debug("records of ended sessions stay in redis until they expire; none of them opens", "err", err)
	}
	return nil
}

// sweep deletes the records of sessions whose grant is gone. A session that began
// since then stands on a later birth and stays.
func (r *Redis) sweep(ctx context.Context, by owner, birth uint64) error {
	members, err := r.client().ZRange(ctx, by.sessions(), 0, -1).Result()
	if err := r.answer(ctx, err); err != nil {
		return err
	}
	records, err := r.records(ctx, members)
	if err != nil {
		return err
	}
	pipe := r.client().Pipeline()
	for d, rec := range records {
		if rec.Birth > birth {
			continue
		}
		pipe.Del(ctx, d.record()) // one key a command: they may be on several nodes
		pipe.Del(ctx, idKey(rec.ID))
		pipe.ZRem(ctx, redisAll, d.String())
		pipe.ZRem(ctx, by.sessions(), d.String())
	}
	return r.exec(ctx, pipe)
}

// listPage bounds what is read at once.
const listPage = 256

// selected finds sessions, by the narrowest index there is.
func (r *Redis) selected(ctx context.Context, which Which) ([]kept, error) {
	var members []string
	var err error
	switch {
	case which == (Which{}), len(which.ID) > 64:
		return nil, nil
	case which.ID != "":
		var d digest
		if d, err = r.digestOf(ctx, which.ID); err == nil {
			members = []string{d.String()}
		} else if o := r.memory.findID(which.ID); errors.Is(err, errGone) && o != nil && o.digest != (digest{}) {
			members = []string{o.digest.String()}
		}
	case which.Issuer != "" && which.Subject != "":
		members, err = r.client().ZRange(ctx, ownerOf(which.Issuer, which.Subject).sessions(), 0, -1).Result()
		err = r.answer(ctx, err)
	default:
		members, err = r.everybody(ctx)
	}
	if err != nil && !errors.Is(err, errGone) {
		return nil, err
	}
	var found []kept
	for len(members) > 0 {
		page := members[:min(len(members), listPage)]
		members = members[len(page):]
		some, err := r.read(ctx, page, which)
		if err != nil {
			return nil, err
		}
		found = append(found, some...)
	}
	return found, nil
}

// everybody gives the digests of all sessions, page by page: one long answer
// would hold up Redis for everybody else.
func (r *Redis) everybody(ctx context.Context) ([]string, error) {
	var all []string
	from := fmt.Sprint(r.o.Now().UnixMilli())
	for {
		page, err := r.client().ZRangeByScore(ctx, redisAll, &redis.ZRangeBy{Min: from, Max: "+inf", Offset: int64(len(all)), Count: 1000}).Result()
		if err := r.answer(ctx, err); err != nil {
			return all, err
		}
		all = append(all, page...)
		if len(page) < 1000 {
			return all, nil
		}
	}
}

// read reads sessions and their users' grants, and keeps those that agree and
// have not ended.
func (r *Redis) read(ctx context.Context, members []string, which Which) ([]kept, error) {
	records, err := r.records(ctx, members)
	if err != nil {
		return nil, err
	}
	pipe := r.client().Pipeline()
	fields := map[owner]*redis.SliceCmd{}
	for _, rec := range records {
		if fields[rec.Owner] == nil {
			fields[rec.Owner] = pipe.HMGet(ctx, rec.Owner.grant(), "f", "n", "g")
		}
	}
	if err := r.exec(ctx, pipe); err != nil {
		return nil, err
	}
	var found []kept
	now := r.o.Now()
	for _, member := range members {
		d, _ := parseDigest(member)
		rec, ok := records[d]
		if !ok {
			continue
		}
		g, err := r.openGrant(rec.Owner, fields[rec.Owner].Val())
		if err != nil || g.birth != rec.Birth {
			continue
		}
		s := rec.join(g)
		if o := r.memory.findID(s.ID); o != nil {
			if used := time.Unix(0, o.seen.Load()).UTC(); used.After(s.Seen) {
				s.Seen = used
			}
		}
		if !s.Over(now) && !r.idle(s.Seen, now) && agrees(s, which) {
			found = append(found, kept{d, s, rec.Owner, g})
		}
	}
	return found, nil
}

// agrees compares e-mail addresses without case: rather one session too many is
// ended than one too few.
func agrees(s Session, which Which) bool {
	return (which.ID == "" || s.ID == which.ID) &&
		(which.Email == "" || strings.EqualFold(s.Principal.Email, which.Email)) &&
		(which.Issuer == "" || s.Principal.Issuer == which.Issuer) &&
		(which.Subject == "" || s.Principal.Subject == which.Subject) &&
		(which.IssuerSession == "" || s.Session == which.IssuerSession)
}

// records reads the records that there are.
func (r *Redis) records(ctx context.Context, members []string) (map[digest]record, error) {
	pipe := r.client().Pipeline()
	sealed := map[digest]*redis.StringCmd{}
	for _, member := range members {
		if d, ok := parseDigest(member); ok {
			sealed[d] = pipe.Get(ctx, d.record())
		}
	}
	if len(sealed) == 0 {
		return nil, nil
	}
	if err := r.exec(ctx, pipe); err != nil {
		return nil, err
	}
	records := make(map[digest]record, len(sealed))
	for d, cmd := range sealed {
		if cmd.Err() != nil {
			continue
		}
		if rec, err := r.openRecord(d, cmd.Val()); err == nil {
			records[d] = rec
		}
	}
	return records, nil
}
