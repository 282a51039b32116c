package session

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/example-org/authgate/identity"
)

// What stores know of bearer tokens stands in two sorted sets, digests by when: a
// replica reads them once, and hears of what is added through the feed.
const (
	redisRevoked = "authgate:{revoked}" // tags of revocations, by when they were
	redisTokens  = "authgate:{tokens}"  // digests of tokens, by until when they could be used
)

// revokeScript notes a revocation (ARGV 1) at ARGV 2. It drops what is older than
// ARGV 3, and beyond ARGV 4 the older half, for which ARGV 5 stands then: everyone.
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

func (k tag) String() string { return base64.RawURLEncoding.EncodeToString(k[:]) }

func parseTag(s string) (tag, bool) {
	d, ok := parseDigest(s)
	return tag(d), ok
}

// CheckBearer is of [Store]. What other replicas were told is known within two
// seconds, as everything else is.
func (r *Redis) CheckBearer(t *identity.Token) error {
	if err := r.bearers.check(t); err != nil {
		return err
	}
	if !r.bearersRead.Load() {
		return r.downFor()
	}
	return nil
}

// RememberToken is of [Store].
func (r *Redis) RememberToken(ctx context.Context, digest [sha256.Size]byte, until time.Time) error {
	k, now := tag(digest), r.o.Now()
	if at, known := r.bearers.tokens.find(k); known && at >= until.UnixNano() {
		return nil
	}
	if r.failing() {
		return r.downFor()
	}
	if r.bearers.tokens.count.Load() >= mostTags {
		if r.bearers.prune(now); r.bearers.tokens.count.Load() >= mostTags {
			return ErrTooManyTokens
		}
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err := indexScript.Run(ctx, r.client(), []string{redisTokens}, k.String(), until.UnixMilli(), now.UnixMilli(), until.Sub(now).Milliseconds()).Err()
	if err := r.answer(ctx, err); err != nil {
		return err
	}
	r.bearers.remember(k, until, now)
	return r.spread(ctx, change{token: k, at: until.UnixMilli()})
}

// tellRevoked notes revocations in Redis, and tells other replicas.
func (r *Redis) tellRevoked(ctx context.Context, tags []tag, now time.Time) error {
	for _, k := range tags {
		err := revokeScript.Run(ctx, r.client(), []string{redisRevoked}, k.String(), now.UnixMilli(),
			now.Add(-revokedFor).UnixMilli(), mostTags, everyone.String(), revokedFor.Milliseconds()).Err()
		if err := r.answer(ctx, err); err != nil {
			return err
		}
		if err := r.spread(ctx, change{revoked: k, at: now.UnixMilli()}); err != nil {
			return err
		}
	}
	return nil
}

// hearBearers takes in what other replicas noted.
func (r *Redis) hearBearers(changes []change) {
	for _, c := range changes {
		at := time.UnixMilli(c.at)
		switch {
		case c.at == 0:
		case c.token != (tag{}):
			r.bearers.remember(c.token, at, r.o.Now())
		default:
			r.bearers.revoke(c.revoked, at)
		}
	}
}

// readBearers reads all that is known, after changes may have been missed. Each set
// comes in one answer: what is dropped meanwhile would shift pages.
func (r *Redis) readBearers(ctx context.Context) error {
	for _, set := range []string{redisRevoked, redisTokens} {
		found, err := r.client().ZRangeByScoreWithScores(ctx, set, &redis.ZRangeBy{Min: "-inf", Max: "+inf"}).Result()
		if err := r.answer(ctx, err); err != nil && !errors.Is(err, errGone) {
			return err
		}
		r.hearBearers(readTags(set, found))
	}
	r.bearers.prune(r.o.Now())
	r.bearersRead.Store(true)
	return nil
}

func readTags(set string, found []redis.Z) []change {
	changes := make([]change, 0, len(found))
	for _, one := range found {
		member, _ := one.Member.(string)
		k, ok := parseTag(member)
		if !ok {
			continue // of another version
		}
		c := change{at: int64(one.Score), revoked: k}
		if set == redisTokens {
			c.revoked, c.token = tag{}, k
		}
		changes = append(changes, c)
	}
	return changes
}

// bearerFields are those of an entry of the feed, empty in others.
func (c *change) bearerFields() []any {
	switch {
	case c.at == 0:
		return nil
	case c.token != (tag{}):
		return []any{"token", c.token.String(), "at", fmt.Sprint(c.at)}
	default:
		return []any{"revoked", c.revoked.String(), "at", fmt.Sprint(c.at)}
	}
}

// readBearerFields reports whether an entry can be read. Other versions of authgate
// write entries without these fields.
func (c *change) readBearerFields(values map[string]any) bool {
	text, there := values["at"].(string)
	if !there {
		return true
	}
	at, err := strconv.ParseInt(text, 10, 64)
	if err != nil || at <= 0 {
		return false
	}
	c.at = at
	for name, to := range map[string]*tag{"token": &c.token, "revoked": &c.revoked} {
		text, there := values[name].(string)
		if !there {
			continue
		}
		k, ok := parseTag(text)
		if !ok {
			return false
		}
		*to = k
	}
	return true
}
