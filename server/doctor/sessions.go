package doctor

import (
	"context"
	"crypto/rand"
	"net/http"
	"os"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/example-org/authgate/config"
	"github.com/example-org/authgate/identity"
	"github.com/example-org/authgate/session"
	"github.com/example-org/authgate/session/cookie"
	"github.com/example-org/authgate/session/cookiestore"
	"github.com/example-org/authgate/session/redisstore"
	"github.com/example-org/authgate/session/seal"
)

// Sessions is what the check of sessions reads.
type Sessions struct {
	Config    *config.Config
	KeysText  string // contents of session.keys; empty: it is not here
	Cookie    *cookie.Chunked
	Groups    int                               // of the user whose session must fit into cookies
	OpenRedis func() (*redisstore.Store, error) // nil: session.redis.url does not exist here
}

// Check looks at the keys and at the store.
func (s Sessions) Check() Check { return Check{"sessions", s.checkStore} }

func (s Sessions) checkStore(ctx context.Context) []Finding {
	found := s.checkKeys()
	if s.Config.Session.Store == config.StoreRedis {
		return append(found, s.checkRedis(ctx))
	}
	if s.fitsCookies(s.Groups) {
		return append(found, ok("the session of a user in %d groups fits into cookies", s.Groups))
	}
	fitting := sort.Search(s.Groups, func(n int) bool { return !s.fitsCookies(n) }) - 1
	return append(found, warn("keep sessions in Redis (session.store: redis), or have the issuer send fewer groups",
		"the session of a user in more than %d groups does not fit into cookies: authgate drops groups that the policy "+
			"does not name", fitting))
}

func (s Sessions) checkKeys() []Finding {
	if s.KeysText == "" {
		return nil
	}
	count := 0
	for line := range strings.Lines(s.KeysText) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			count++
		}
	}
	found := []Finding{ok("%d keys; the first encrypts", count)}
	if path := s.Config.Session.Keys.File(); path != "" {
		if info, err := os.Stat(path); err == nil && info.Mode().Perm()&0o007 != 0 {
			found = append(found, warn("chmod o= "+path, "every user of this machine can read the keys"))
		}
	}
	return found
}

// fitsCookies encrypts a session of a user with many groups. Their names are random
// words, as those of teams are, because compression would shorten repetitions.
func (s Sessions) fitsCookies(groups int) bool {
	keys, err := seal.ParseKeys(seal.NewKey())
	if err != nil {
		return false
	}
	c := s.Config
	grant := identity.TokenSet{RefreshToken: rand.Text() + rand.Text() + rand.Text(), FetchedAt: time.Now()}
	grant.Principal = identity.Principal{
		Issuer: c.Issuer.URL, Subject: rand.Text(), Email: "testuser@example.com", Name: "Test User",
		Expiry: time.Now().Add(time.Hour),
	}
	for range groups {
		grant.Principal.Groups = append(grant.Principal.Groups, "example-org:"+rand.Text()[:12])
	}
	if slices.ContainsFunc(c.Upstreams,
		func(u config.Upstream) bool { return u.Identity.Credential == config.CredentialIDToken }) {
		grant.IDToken = rand.Text() + "." + strings.Join(grant.Principal.Groups, "") + "." + strings.Repeat(rand.Text(), 14)
	}
	store := cookiestore.New(cookiestore.Options{Cookie: s.Cookie, Keyring: seal.NewKeyring(keys)})
	_, err = store.Create(context.Background(), discardResponse{}, nil, session.New(grant, time.Now(), time.Hour), true)
	return err == nil
}

// discardResponse is a response without a receiver.
type discardResponse http.Header

func (u discardResponse) Header() http.Header       { return http.Header(u) }
func (discardResponse) Write(p []byte) (int, error) { return len(p), nil }
func (discardResponse) WriteHeader(int)             {}

func (s Sessions) checkRedis(ctx context.Context) Finding {
	if s.OpenRedis == nil {
		return skipped("session.redis.url does not exist here")
	}
	redis, err := s.OpenRedis()
	if err != nil {
		return fail("see docs/configuration.md, session.redis", "%s", err)
	}
	defer redis.Close()
	if _, err := redis.List(ctx, session.Filter{ID: "doctor"}); err != nil {
		return fail("check session.redis.url, the rights of its user (docs/operations.md) and caFile",
			"Redis does not answer as expected: %s", err)
	}
	return ok("Redis answers")
}
