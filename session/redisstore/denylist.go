package redisstore

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/example-org/authgate/identity"
	"github.com/example-org/authgate/session"
)

// What stores know about bearer tokens is in two sorted sets, digests by time. A replica
// reads them once, and additions from the changelog.
const (
	revokedKey = "authgate:{revoked}" // tags of revocations, by time
	tokensKey  = "authgate:{tokens}"  // digests of tokens, by expiry
)

// revokeScript adds a revocation (ARGV 1) at ARGV 2. It drops those older than ARGV 3. Above
// ARGV 4 entries it drops the older half and adds ARGV 5 in its place, which revokes
// everyone up to then.
var revokeScript = redis.NewScript(`
local k = KEYS[1]
if redis.call('TYPE', k).ok ~= 'zset' then redis.call('DEL', k) end
redis.call('ZREMRANGEBYSCORE', k, '-inf', ARGV[3])
redis.call('ZADD', k, 'GT', ARGV[2], ARGV[1])
if redis.call('ZCARD', k) > tonumber(ARGV[4]) then
  local half = math.floor(ARGV[4] / 2)
  local last = redis.call('ZRANGE', k, half, half, 'WITHSCORES')
  redis.call('ZREMRANGEBYSCORE', k, '-inf', last[2])
  redis.call('ZADD', k, 'GT', last[2], ARGV[5])
end
redis.call('PEXPIRE', k, ARGV[6])
return 1
`)

func parseDenyKey(s string) (session.DenyKey, bool) {
	d, ok := parseDigest(s)
	return session.DenyKey(d), ok
}

// CheckBearer implements [session.Store]. Revocations of other replicas are known within two
// seconds, like every change.
func (r *Store) CheckBearer(t *identity.Token) error {
	if err := r.denylist.Check(t); err != nil {
		return err
	}
	if !r.denylistLoaded.Load() {
		return r.downError()
	}
	return nil
}

// DenyBearer implements [session.Store].
func (r *Store) DenyBearer(ctx context.Context, digest [sha256.Size]byte, until time.Time) error {
	k, now := session.DenyKey(digest), r.o.Now()
	if at, known := r.denylist.DeniedUntil(k); known && !at.Before(until) {
		return nil
	}
	if r.circuitOpen() {
		return r.downError()
	}
	if r.denylist.Full(now) {
		return session.ErrTooManyTokens
	}
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	err := indexScript.Run(ctx, r.client(), []string{tokensKey},
		k.String(), until.UnixMilli(), now.UnixMilli(), until.Sub(now).Milliseconds()).Err()
	if err := r.classify(ctx, err); err != nil {
		return err
	}
	r.denylist.DenyToken(k, until, now)
	return r.publish(ctx, change{token: k, at: until.UnixMilli()})
}

// publishRevocations writes revocations to Redis, and tells other replicas.
func (r *Store) publishRevocations(ctx context.Context, tags []session.DenyKey, now time.Time) error {
	for _, k := range tags {
		err := revokeScript.Run(ctx, r.client(), []string{revokedKey}, k.String(), now.UnixMilli(),
			now.Add(-session.RevocationTTL).UnixMilli(), session.MaxDenyKeys,
			session.AllUsers.String(), session.RevocationTTL.Milliseconds()).Err()
		if err := r.classify(ctx, err); err != nil {
			return err
		}
		if err := r.publish(ctx, change{revoked: k, at: now.UnixMilli()}); err != nil {
			return err
		}
	}
	return nil
}

// applyDenylist applies the changes of other replicas.
func (r *Store) applyDenylist(changes []change) {
	for _, c := range changes {
		at := time.UnixMilli(c.at)
		switch {
		case c.at == 0:
		case c.token != (session.DenyKey{}):
			r.denylist.DenyToken(c.token, at, r.o.Now())
		default:
			r.denylist.Revoke(c.revoked, at)
		}
	}
}

// loadDenylist reads both sets, after changes may have been missed. Each set comes in one
// reply: entries that are dropped meanwhile would shift pages.
func (r *Store) loadDenylist(ctx context.Context) error {
	for _, set := range []string{revokedKey, tokensKey} {
		found, err := r.client().ZRangeByScoreWithScores(ctx, set, &redis.ZRangeBy{Min: "-inf", Max: "+inf"}).Result()
		if err := r.classify(ctx, err); err != nil && !errors.Is(err, errNotInRedis) {
			return err
		}
		r.applyDenylist(parseDenylist(set, found))
	}
	r.denylist.Prune(r.o.Now())
	r.denylistLoaded.Store(true)
	return nil
}

func parseDenylist(set string, found []redis.Z) []change {
	changes := make([]change, 0, len(found))
	for _, one := range found {
		member, _ := one.Member.(string)
		k, ok := parseDenyKey(member)
		if !ok {
			continue // written by another version
		}
		c := change{at: int64(one.Score), revoked: k}
		if set == tokensKey {
			c.revoked, c.token = session.DenyKey{}, k
		}
		changes = append(changes, c)
	}
	return changes
}

// denylistFields gives the fields of a changelog entry that are about bearer tokens.
func (c *change) denylistFields() []any {
	switch {
	case c.at == 0:
		return nil
	case c.token != (session.DenyKey{}):
		return []any{"token", c.token.String(), "at", fmt.Sprint(c.at)}
	default:
		return []any{"revoked", c.revoked.String(), "at", fmt.Sprint(c.at)}
	}
}

// parseDenylistFields reports whether an entry is valid. Other versions of authgate write
// entries without these fields.
func (c *change) parseDenylistFields(values map[string]any) bool {
	text, present := values["at"].(string)
	if !present {
		return true
	}
	at, err := strconv.ParseInt(text, 10, 64)
	if err != nil || at <= 0 {
		return false
	}
	c.at = at
	for name, to := range map[string]*session.DenyKey{"token": &c.token, "revoked": &c.revoked} {
		text, present := values[name].(string)
		if !present {
			continue
		}
		k, ok := parseDenyKey(text)
		if !ok {
			return false
		}
		*to = k
	}
	return true
}
