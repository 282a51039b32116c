package redisstore

import (
	"crypto/x509"
	"time"

	"github.com/redis/go-redis/v9"
)

// drainTime is how long a client that was replaced stays open: longer than the
// commands that are under way may take.
const drainTime = 5 * commandTimeout

// client is the one in force. What takes several steps in one transaction or
// pipeline takes it once.
func (r *Store) client() redis.UniversalClient { return *r.currentClient.Load() }

// Replace goes on with the Redis of another URL, or with another password or CA for
// the same. It dials nothing. An error says what is wrong with the URL, without the
// URL, and leaves everything as it is.
//
// Sessions that are not in the new one are over, as after a Redis that came back empty.
func (r *Store) Replace(address string, pool *x509.CertPool) error {
	fresh, err := newClient(address, pool)
	if err != nil {
		return err
	}
	old := *r.currentClient.Swap(&fresh)
	time.AfterFunc(drainTime, func() { _ = old.Close() })
	return nil
}
