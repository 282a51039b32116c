package redisstore

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// How long one command may take, and how many may be in flight. A request waits for them, so
// the defaults are short.
const (
	redisDialTimeout = time.Second
	redisReadTimeout = time.Second
	redisPoolSize    = 32
	redisPoolTimeout = time.Second
	redisMaxRetries  = 1
)

// Errors about a URL. They do not quote it: a password with unescaped characters can end up
// in any part of it, and in the parser's own errors.
var (
	errNoURL = errors.New("is not a URL; " +
		"write rediss://USER:PASSWORD@HOST:PORT/0, with @ / ? # % : in user and password percent-encoded")
	errScheme   = errors.New("must begin with rediss://, redis:// or unix://")
	errDatabase = errors.New("has a path that is not a database number; " +
		"write /0 or remove it, and percent-encode / in the password")
	errClusterDatabase = errors.New("has a path and addr=, which selects a cluster, and clusters have no numbered " +
		"databases; remove the path")
	errOption = errors.New("has an option after ? that the redis client does not know, or that has an invalid value; " +
		"see ParseURL, ParseClusterURL and ParseFailoverURL of go-redis for the options")
	errReplicas = errors.New("has an option that reads from replicas, where a revoked session stays valid for a while; " +
		"remove read_only, replica_only, use_disconnected_replicas and those that begin with route_")
	errSkipVerify = errors.New("has skip_verify, which disables certificate checks; " +
		"remove it, and set session.redis.caFile to the CA of redis")
	errCAWithoutTLS = errors.New("has no TLS, but session.redis.caFile is set; " +
		"write rediss://, or remove caFile")
)

// muteClientLog stops the client from writing to stderr past slog; it returns what matters
// as an error. Its logger is global, and must not be set while clients run.
var muteClientLog = sync.OnceFunc(func() { redis.SetLogger(&logging.VoidLogger{}) })

// newClient makes the client for a URL, and does not dial: one server; with addr=, a
// cluster; with master_name=, the servers that sentinels name.
func newClient(address string, pool *x509.CertPool) (redis.UniversalClient, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme == "" || u.Fragment != "" || u.Opaque != "" {
		return nil, errNoURL
	}
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, errNoURL
	}
	if err := checkRedisURL(u, q, pool); err != nil {
		return nil, err
	}
	muteClientLog()
	maint := &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	switch {
	case q.Has("master_name"):
		o, err := redis.ParseFailoverURL(address)
		if err != nil || o.MasterName == "" {
			return nil, errOption
		}
		setTLS(o.TLSConfig, pool)
		o.ContextTimeoutEnabled, o.DialerRetries = true, 1
		setDefaults(&o.DialTimeout, &o.ReadTimeout, &o.WriteTimeout, &o.PoolTimeout, &o.PoolSize, &o.MaxRetries)
		return redis.NewFailoverClient(o), nil
	case q.Has("addr"):
		o, err := redis.ParseClusterURL(address)
		if err != nil {
			return nil, errOption
		}
		setTLS(o.TLSConfig, pool)
		o.MaintNotificationsConfig = maint
		o.ContextTimeoutEnabled, o.DialerRetries = true, 1
		setDefaults(&o.DialTimeout, &o.ReadTimeout, &o.WriteTimeout, &o.PoolTimeout, &o.PoolSize, &o.MaxRetries)
		return redis.NewClusterClient(o), nil
	default:
		o, err := redis.ParseURL(address)
		if err != nil {
			return nil, errOption
		}
		setTLS(o.TLSConfig, pool)
		o.MaintNotificationsConfig = maint
		o.ContextTimeoutEnabled, o.DialerRetries = true, 1
		setDefaults(&o.DialTimeout, &o.ReadTimeout, &o.WriteTimeout, &o.PoolTimeout, &o.PoolSize, &o.MaxRetries)
		return redis.NewClient(o), nil
	}
}

func checkRedisURL(u *url.URL, q url.Values, pool *x509.CertPool) error {
	multiple := q.Has("addr") || q.Has("master_name")
	switch u.Scheme {
	case "rediss":
	case "redis", "unix":
		if pool != nil {
			return errCAWithoutTLS
		}
	default:
		return errScheme
	}
	if u.Scheme == "unix" {
		if multiple {
			return errOption
		}
	} else if path := strings.Trim(u.Path, "/"); path != "" {
		if n, err := strconv.Atoi(path); err != nil || n < 0 {
			return errDatabase
		}
		if q.Has("addr") && !q.Has("master_name") {
			return errClusterDatabase
		}
	}
	if q.Has("skip_verify") {
		return errSkipVerify
	}
	stale := []string{
		"read_only", "replica_only", "use_disconnected_replicas",
		"route_by_latency", "route_by_latency_tolerance", "route_randomly",
	}
	if slices.ContainsFunc(stale, q.Has) {
		return errReplicas
	}
	return nil
}

func setTLS(t *tls.Config, pool *x509.CertPool) {
	if t != nil {
		t.MinVersion, t.RootCAs = tls.VersionTLS12, pool
	}
}

func setDefaults(dial, read, write, wait *time.Duration, size, retries *int) {
	for _, d := range []struct {
		to *time.Duration
		is time.Duration
	}{{dial, redisDialTimeout}, {read, redisReadTimeout}, {write, redisReadTimeout}, {wait, redisPoolTimeout}} {
		if *d.to <= 0 { // a negative value would wait for ever
			*d.to = d.is
		}
	}
	if *size <= 0 {
		*size = redisPoolSize
	}
	if *retries == 0 {
		*retries = redisMaxRetries
	}
}
