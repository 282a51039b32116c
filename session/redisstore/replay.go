package redisstore

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"time"
)

// replayKey names a value that was used, by 128 bits of its digest: Redis holds no secret.
func replayKey(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return "authgate:spent:{" + base64.RawURLEncoding.EncodeToString(sum[:16]) + "}"
}

// Use is that of cache.Replay, for every replica. While Redis is unavailable nothing is
// used: the error is [session.ErrStoreDown].
func (r *Store) Use(ctx context.Context, secret string, _ time.Time, ttl time.Duration) (first bool, err error) {
	if r.circuitOpen() {
		return false, r.downError()
	}
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	first, err = r.client().SetNX(ctx, replayKey(secret), 1, ttl).Result()
	return first, r.classify(ctx, err)
}
