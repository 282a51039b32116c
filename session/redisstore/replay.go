package redisstore

import (
	"context"
	"encoding/base64"
	"time"

	"github.com/example-org/authgate/session"
)

// replayKey names what was used up and can be used once.
func replayKey(id session.ReplayID) string {
	return "authgate:spent:{" + base64.RawURLEncoding.EncodeToString(id[:]) + "}"
}

// Use is [ReplayCache.Use] for every replica. Where Redis does not answer nothing is
// used up: the error is [ErrStoreDown].
func (r *Store) Use(ctx context.Context, secret string, _ time.Time, ttl time.Duration) (first bool, err error) {
	if r.circuitOpen() {
		return false, r.downError()
	}
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	first, err = r.client().SetNX(ctx, replayKey(session.NewReplayID(secret)), 1, ttl).Result()
	return first, r.classify(ctx, err)
}
