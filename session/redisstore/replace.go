package redisstore

import (
	"crypto/x509"
	"time"

	"github.com/redis/go-redis/v9"
)

// drainTime is how long a replaced client stays open: longer than the commands in flight may
// take.
const drainTime = 5 * commandTimeout

// client is the current one. A transaction or pipeline of several steps gets it once.
func (r *Store) client() redis.UniversalClient { return *r.currentClient.Load() }

// Replace switches to the Redis of another URL, or to another password or CA for the same
// URL. It does not dial. An error says what is wrong with the URL, without quoting it, and
// changes nothing.
//
// Sessions that are not in the new Redis have ended, as after a Redis that lost its data.
func (r *Store) Replace(address string, pool *x509.CertPool) error {
	fresh, err := newClient(address, pool)
	if err != nil {
		return err
	}
	old := *r.currentClient.Swap(&fresh)
	time.AfterFunc(drainTime, func() { _ = old.Close() })
	return nil
}
