//go:build linux

package redisstore_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/example-org/authgate/identity"
	"github.com/example-org/authgate/session"
	"github.com/example-org/authgate/session/cookie"
	"github.com/example-org/authgate/session/redisstore"
	"github.com/example-org/authgate/session/seal"
	"github.com/example-org/authgate/session/sessiontest"
)

// clock is one that a test moves.
type clock struct{ ahead atomic.Int64 }

func (c *clock) now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }

func (c *clock) move(by time.Duration) { c.ahead.Add(int64(by)) }

// replicas are authgates that share a Redis and the session keys.
type replicas struct {
	t     testing.TB
	ring  *seal.Keyring
	clock clock
	log   log
	idle  time.Duration
	url   string
}

// log is what they all say.
type log struct {
	sync.Mutex
	bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.Lock()
	defer l.Unlock()
	return l.Buffer.Write(p)
}

func (l *log) text() string {
	l.Lock()
	defer l.Unlock()
	return l.String()
}

func newReplicas(t testing.TB, url string) *replicas {
	t.Helper()
	k, err := seal.ParseKeys(seal.NewKey())
	if err != nil {
		t.Fatal(err)
	}
	return &replicas{t: t, ring: seal.NewKeyring(k), url: url}
}

func (r *replicas) options() redisstore.Options {
	return redisstore.Options{
		URL: r.url, Cookie: cookie.New("authgate", "", http.SameSiteLaxMode), Keyring: r.ring, IdleTimeout: r.idle,
		Log: slog.New(slog.NewTextHandler(&r.log, nil)), Now: r.clock.now,
	}
}

// add makes one more, which hears of changes.
func (r *replicas) add() *redisstore.Store {
	r.t.Helper()
	s := r.open(r.options())
	r.run(s)
	until(r.t, 10*time.Second, "the store is up", s.Down)
	return s
}

func (r *replicas) open(o redisstore.Options) *redisstore.Store {
	r.t.Helper()
	s, err := redisstore.New(o)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = s.Close() })
	return s
}

func (r *replicas) run(s *redisstore.Store) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { s.Run(ctx) })
	r.t.Cleanup(func() { cancel(); running.Wait() })
}

func (r *replicas) grant(who, token string) identity.TokenSet {
	return identity.TokenSet{
		Principal: identity.Principal{
			Issuer: "https://dex.example.com", Subject: who, Email: who + "@example.com", Groups: []string{"example-org:" + token},
			Expiry: r.clock.now().Add(10 * time.Minute),
		},
		RefreshToken: "refresh-" + token, IDToken: "idtoken-" + token, AccessToken: "access-" + token, SessionID: "sid-" + token, FetchedAt: r.clock.now(),
	}
}

func (r *replicas) login(at *redisstore.Store, who, token string) (sessiontest.Browser, session.Session) {
	r.t.Helper()
	b := sessiontest.Browser{}
	s := session.New(r.grant(who, token), r.clock.now(), 12*time.Hour)
	w := httptest.NewRecorder()
	if _, err := at.Create(r.t.Context(), w, b.Headers(), s, true); err != nil {
		r.t.Fatal(err)
	}
	b.Take(w)
	return b, s
}

// stranger has a cookie as authgate gives them, and no session.
func (r *replicas) stranger() sessiontest.Browser {
	r.t.Helper()
	b, w := sessiontest.Browser{}, httptest.NewRecorder()
	if err := r.options().Cookie.Write(w, http.Header{}, strings.Repeat("A", 43), r.clock.now().Add(time.Hour), true); err != nil {
		r.t.Fatal(err)
	}
	b.Take(w)
	return b
}

func opens(at *redisstore.Store, b sessiontest.Browser) (session.Session, error) {
	return at.Open(context.Background(), b.Headers(), true)
}

// wants gives a condition: the browser's session has this refresh token.
func wants(at *redisstore.Store, b sessiontest.Browser, token string) func() error {
	return func() error {
		s, err := opens(at, b)
		if err == nil && s.RefreshToken != "refresh-"+token {
			err = fmt.Errorf("it has %s", s.RefreshToken)
		}
		return err
	}
}

func wantsError(at *redisstore.Store, b sessiontest.Browser, want error) func() error {
	return func() error {
		if _, err := opens(at, b); !errors.Is(err, want) {
			return fmt.Errorf("got %w, want %w", err, want)
		}
		return nil
	}
}

func answers(g identity.TokenSet) session.RefreshFunc {
	return func(context.Context, identity.TokenSet) (identity.TokenSet, error) { return g, nil }
}

func TestWhatIsSpentOnOneReplicaIsSpentOnAll(t *testing.T) {
	t.Parallel()
	server := startRedis(t)
	r := newReplicas(t, server.url())
	a, b := r.add(), r.add()
	for n, s := range []*redisstore.Store{a, b, a} {
		first, err := s.Use(t.Context(), "secret", time.Now(), time.Minute)
		if err != nil || first != (n == 0) {
			t.Errorf("use %d: first %v, %v", n+1, first, err)
		}
	}
	if first, err := b.Use(t.Context(), "another", time.Now(), time.Minute); err != nil || !first {
		t.Errorf("another: %v, %v", first, err)
	}
	server.kill()
	if first, err := a.Use(t.Context(), "a third", time.Now(), time.Minute); first || !errors.Is(err, session.ErrStoreDown) {
		t.Errorf("without Redis: %v, %v", first, err)
	}
}

func TestASessionIsTheSameOnEveryReplica(t *testing.T) {
	t.Parallel()
	r := newReplicas(t, startRedis(t).url())
	here, there := r.add(), r.add()
	b, s := r.login(here, "alice", "first")
	for _, at := range []*redisstore.Store{here, there, here, there} {
		got, err := opens(at, b)
		if err != nil || got.ID != s.ID || got.Principal.Subject != "alice" || got.RefreshToken != "refresh-first" || !got.Expires.Equal(s.Expires) || got.TokenSet.SessionID != "sid-first" {
			t.Errorf("got %v %+v, want %+v", err, got.Principal, s.Principal)
		}
	}
	if len(b) != 1 || len(b["__Host-authgate"]) > 64 {
		t.Errorf("the browser keeps %v", b)
	}
}

func TestRedisSeesNoTokenNoNameAndNothingThatACookieCouldBeMadeOf(t *testing.T) {
	t.Parallel()
	redis := startRedis(t)
	r := newReplicas(t, redis.url())
	at := r.add()
	b, s := r.login(at, "alice", "secret")
	if _, err := at.Refresh(t.Context(), s, answers(r.grant("alice", "secret-too"))); err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	names := redis.keys(t, "*")
	for _, name := range names {
		dump, err := redis.client.Dump(t.Context(), name).Result()
		if err != nil {
			t.Fatal(err)
		}
		all.WriteString(name + "\n" + dump + "\n")
		if !strings.HasPrefix(name, "authgate:") {
			t.Errorf("key %q", name)
		}
		if left := redis.client.PTTL(t.Context(), name).Val(); left <= 0 && !strings.Contains(name, "{feed}") {
			t.Errorf("%s stays for ever: %s", name, left)
		}
	}
	if len(names) < 5 {
		t.Errorf("only %q", names)
	}
	for _, no := range []string{"secret", "alice", "example", b["__Host-authgate"]} {
		if strings.Contains(all.String(), no) || strings.Contains(r.log.text(), no) {
			t.Errorf("%q is to be read in redis or in the log", no)
		}
	}
}

func TestASecondBrowsersLoginIsAdoptedByTheFirst(t *testing.T) {
	t.Parallel()
	r := newReplicas(t, startRedis(t).url())
	here, there := r.add(), r.add()
	first, s := r.login(here, "alice", "first")
	bob, _ := r.login(here, "bob", "bobs")
	if _, err := opens(here, first); err != nil {
		t.Fatal(err)
	}
	second, _ := r.login(there, "alice", "second")
	until(t, 2*time.Second, "the first browser has the second's grant", wants(here, first, "second"))
	if now, err := here.Current(s); err != nil || now.RefreshToken != "refresh-second" || now.ID != s.ID {
		t.Errorf("a stream of the first goes on with %v", err)
	}
	for _, want := range []func() error{wants(there, second, "second"), wants(there, first, "second"), wants(here, bob, "bobs")} {
		if err := want(); err != nil {
			t.Error(err)
		}
	}
}

func TestAllReplicasAndBrowsersOfAPersonAskTheIssuerOnce(t *testing.T) {
	t.Parallel()
	r := newReplicas(t, startRedis(t).url())
	here, there := r.add(), r.add()
	first, one := r.login(here, "alice", "first")
	_, two := r.login(there, "alice", "second")
	until(t, 2*time.Second, "the first browser has the second's grant", wants(here, first, "second"))
	one, err := here.Current(one)
	if err != nil {
		t.Fatal(err)
	}
	fresh := r.grant("alice", "third")
	fresh.FetchedAt = r.clock.now().Add(time.Second)
	var asked atomic.Int32
	enough := make(chan struct{})
	ask := func(ctx context.Context, g identity.TokenSet) (identity.TokenSet, error) {
		asked.Add(1)
		if g.RefreshToken != "refresh-second" {
			t.Errorf("asked with %s", g.RefreshToken)
		}
		<-enough
		return fresh, nil
	}
	var waiting sync.WaitGroup
	for i := range 8 {
		waiting.Go(func() {
			at, s := here, one
			if i%2 == 1 {
				at, s = there, two
			}
			if got, err := at.Refresh(t.Context(), s, ask); err != nil || got.RefreshToken != "refresh-third" || got.ID != s.ID {
				t.Errorf("renewed to %v", err)
			}
		})
	}
	until(t, 5*time.Second, "a replica asks", func() error {
		if asked.Load() == 0 {
			return errors.New("none")
		}
		return nil
	})
	close(enough)
	waiting.Wait()
	if n := asked.Load(); n != 1 {
		t.Errorf("the issuer was asked %d times", n)
	}
}

func TestGroupsThatAreNewerAlreadyAreAdoptedWithoutAsking(t *testing.T) {
	t.Parallel()
	r := newReplicas(t, startRedis(t).url())
	here, there := r.add(), r.add()
	_, s := r.login(here, "alice", "first")
	fresh := r.grant("alice", "second")
	if _, err := here.Refresh(t.Context(), s, answers(fresh)); err != nil {
		t.Fatal(err)
	}
	for _, at := range []*redisstore.Store{here, there} {
		got, err := at.Refresh(t.Context(), s, func(context.Context, identity.TokenSet) (identity.TokenSet, error) {
			t.Error("the issuer was asked again")
			return fresh, nil
		})
		if err != nil || got.RefreshToken != "refresh-second" || got.ID != s.ID {
			t.Errorf("got %v", err)
		}
	}
}

func TestARenewalThatALoginOvertookIsDropped(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]error{
		"it succeeds": nil, "it is refused": &identity.RefreshRefusedError{Status: 400, Code: "invalid_request"}, "it is an impostor's": &identity.SubjectMismatchError{Reason: "sub"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newReplicas(t, startRedis(t).url())
			here, there := r.add(), r.add()
			first, s := r.login(here, "alice", "first")
			var second sessiontest.Browser
			got, err := here.Refresh(t.Context(), s, func(context.Context, identity.TokenSet) (identity.TokenSet, error) {
				second, _ = r.login(there, "alice", "second")
				return r.grant("alice", "stale"), answer
			})
			if err != nil || got.RefreshToken != "refresh-second" || got.ID != s.ID {
				t.Errorf("renewed to %v", err)
			}
			for _, want := range []func() error{wants(here, first, "second"), wants(here, second, "second"), wants(there, first, "second"), wants(there, second, "second")} {
				if err := want(); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func TestARefusedRefreshTokenEndsAllSessionsOfThatPerson(t *testing.T) {
	t.Parallel()
	redis := startRedis(t)
	for _, why := range []error{&identity.RefreshRefusedError{Status: 400}, &identity.SubjectMismatchError{Reason: "sub"}} {
		r := newReplicas(t, redis.url())
		here, there := r.add(), r.add()
		first, _ := r.login(there, "alice", "first")
		second, s := r.login(here, "alice", "second")
		other, err := opens(there, first)
		if err != nil {
			t.Fatal(err)
		}
		bob, _ := r.login(there, "bob", "bobs")
		until(t, 2*time.Second, "there knows the grant", wants(there, first, "second"))
		if _, err := here.Refresh(t.Context(), s, func(context.Context, identity.TokenSet) (identity.TokenSet, error) { return identity.TokenSet{}, why }); !errors.Is(err, why) {
			t.Errorf("%v became %v", why, err)
		}
		for _, b := range []sessiontest.Browser{first, second} {
			if err := wantsError(here, b, session.ErrExpired)(); err != nil {
				t.Error("here:", err)
			}
			until(t, 2*time.Second, "it has ended there", wantsError(there, b, session.ErrExpired))
		}
		if _, err := there.Current(other); !errors.Is(err, session.ErrExpired) {
			t.Errorf("a stream goes on: %v", err)
		}
		if err := wants(there, bob, "bobs")(); err != nil {
			t.Error("bob:", err)
		}
		third, _ := r.login(here, "alice", "third")
		until(t, 2*time.Second, "alice may sign in again", wants(there, third, "third"))
		if err := wantsError(here, first, session.ErrExpired)(); err != nil {
			t.Error("a session from before came back:", err)
		}
		if len(redis.keys(t, "authgate:session:*")) != 2 {
			t.Errorf("left %q", redis.keys(t, "authgate:session:*"))
		}
		if err := redis.client.FlushAll(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRevokedSessionsEndOnAllReplicasWithinTwoSeconds(t *testing.T) {
	t.Parallel()
	redis := startRedis(t)
	for name, test := range map[string]struct {
		which       func(first session.Session) session.Filter
		ended       int
		second, bob bool // which others end
	}{
		"by id":     {func(s session.Session) session.Filter { return session.Filter{ID: s.ID} }, 1, false, false},
		"by e-mail": {func(session.Session) session.Filter { return session.Filter{Email: "Alice@example.com"} }, 2, true, false},
		"by subject": {func(session.Session) session.Filter {
			return session.Filter{Issuer: "https://dex.example.com", Subject: "alice"}
		}, 2, true, false},
		"by issuer session": {func(session.Session) session.Filter { return session.Filter{IssuerSession: "sid-first"} }, 1, false, false},
		"all":               {func(session.Session) session.Filter { return session.Filter{All: true} }, 3, true, true},
		"an empty filter":   {func(session.Session) session.Filter { return session.Filter{} }, 0, false, false},
		"id of another":     {func(s session.Session) session.Filter { return session.Filter{ID: s.ID, Email: "bob@example.com"} }, 0, false, false},
	} {
		r := newReplicas(t, redis.url())
		here, there := r.add(), r.add()
		first, s := r.login(here, "alice", "first")
		second, _ := r.login(there, "alice", "second")
		bob, _ := r.login(there, "bob", "bobs")
		for _, b := range []sessiontest.Browser{first, second, bob} {
			if _, err := opens(there, b); err != nil {
				t.Fatal(err)
			}
		}
		began := time.Now()
		n, err := here.Revoke(t.Context(), test.which(s))
		if err != nil || n != test.ended {
			t.Errorf("%s: ended %d %v, want %d", name, n, err, test.ended)
		}
		for who, b := range map[string]struct {
			sessiontest.Browser
			over bool
		}{"first": {first, n > 0}, "second": {second, test.second}, "bob": {bob, test.bob}} {
			if !b.over {
				if _, err := opens(there, b.Browser); err != nil {
					t.Errorf("%s: %s: %v", name, who, err)
				}
				continue
			}
			until(t, 2*time.Second, name+": "+who+" has ended", wantsError(there, b.Browser, session.ErrExpired))
			if took := time.Since(began); took > 2*time.Second {
				t.Errorf("%s: took %s", name, took)
			}
		}
		if n > 0 {
			if _, err := there.Current(s); !errors.Is(err, session.ErrExpired) {
				t.Errorf("%s: a stream goes on: %v", name, err)
			}
		}
		if err := redis.client.FlushAll(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestASessionThatNoIndexNamesEndsWithItsUsersAllTheSame(t *testing.T) {
	t.Parallel()
	redis := startRedis(t)
	r := newReplicas(t, redis.url())
	at := r.add()
	lost, _ := r.login(at, "alice", "first")
	if err := redis.client.Del(t.Context(), append(redis.keys(t, "authgate:sessions:*"), "authgate:{all}")...).Err(); err != nil {
		t.Fatal(err)
	}
	if _, err := at.Revoke(t.Context(), session.Filter{Issuer: "https://dex.example.com", Subject: "alice"}); err != nil {
		t.Fatal(err)
	}
	later, _ := r.login(at, "alice", "second")
	for _, at := range []*redisstore.Store{at, r.add()} {
		if err := errors.Join(wantsError(at, lost, session.ErrExpired)(), wants(at, later, "second")()); err != nil {
			t.Error(err)
		}
	}
}

func TestAListShowsSessionsWithoutTokens(t *testing.T) {
	t.Parallel()
	r := newReplicas(t, startRedis(t).url())
	at := r.add()
	_, s := r.login(at, "alice", "first")
	r.login(at, "alice", "second")
	r.login(at, "bob", "bobs")
	for want, which := range map[int]session.Filter{3: {All: true}, 2: {Email: "alice@example.com"}, 1: {ID: s.ID}, 0: {Email: "carol@example.com"}} {
		got, err := at.List(t.Context(), which)
		if err != nil || len(got) != want {
			t.Errorf("%+v: %d sessions, %v; want %d", which, len(got), err, want)
		}
		for _, s := range got {
			if text, _ := json.Marshal(s); strings.Contains(string(text), "refresh-") || strings.Contains(string(text), "idtoken-") || strings.Contains(string(text), "access-") {
				t.Errorf("a token is listed")
			}
			if s.ID == "" || s.Principal.Email == "" || s.CreatedAt.IsZero() {
				t.Errorf("%+v", s)
			}
		}
	}
}

func TestTheLastSignOutOfAPersonTakesTheTokenFromRedis(t *testing.T) {
	t.Parallel()
	redis := startRedis(t)
	r := newReplicas(t, redis.url())
	at := r.add()
	_, one := r.login(at, "alice", "first")
	second, two := r.login(at, "alice", "second")
	if _, err := at.Revoke(t.Context(), session.Filter{ID: one.ID}); err != nil {
		t.Fatal(err)
	}
	if err := wants(at, second, "second")(); err != nil {
		t.Error("the other browser:", err)
	}
	if n := len(redis.keys(t, "authgate:grant:*")); n != 1 {
		t.Errorf("%d grants", n)
	}
	if _, err := at.Revoke(t.Context(), session.Filter{ID: two.ID}); err != nil {
		t.Fatal(err)
	}
	if left := redis.keys(t, "authgate:[gsi]*"); len(left) != 0 {
		t.Errorf("left %q", left)
	}
}

func TestALoginWithoutARefreshTokenLetsNoOldGroupsLiveOn(t *testing.T) {
	t.Parallel()
	r := newReplicas(t, startRedis(t).url())
	at := r.add()
	first, _ := r.login(at, "alice", "first")
	g := r.grant("alice", "second")
	g.RefreshToken = ""
	if _, err := at.Create(t.Context(), httptest.NewRecorder(), http.Header{}, session.New(g, r.clock.now(), 12*time.Hour), true); err != nil {
		t.Fatal(err)
	}
	s, err := opens(at, first)
	if err != nil || !s.Expires.Equal(g.Principal.Expiry) {
		t.Errorf("expires %s, %v; want %s", s.Expires, err, g.Principal.Expiry)
	}
}

func TestASessionEndsWhenItIsIdleOnAllReplicas(t *testing.T) {
	t.Parallel()
	redis := startRedis(t)
	r := newReplicas(t, redis.url())
	r.idle = 10 * time.Minute
	here, there := r.add(), r.add()
	b, s := r.login(here, "alice", "first")
	if _, err := opens(there, b); err != nil {
		t.Fatal(err)
	}
	if left := redis.client.PTTL(t.Context(), redis.keys(t, "authgate:session:*")[0]).Val(); left > 12*time.Minute || left < 9*time.Minute {
		t.Errorf("redis keeps it for %s", left)
	}
	r.clock.move(6 * time.Minute)
	if _, err := opens(here, b); err != nil {
		t.Fatal(err)
	}
	until(t, 5*time.Second, "redis knows of the use", func() error {
		list, err := there.List(t.Context(), session.Filter{ID: s.ID})
		if err != nil || len(list) != 1 || r.clock.now().Sub(list[0].LastUsed) > time.Minute {
			return fmt.Errorf("%d sessions %w", len(list), err)
		}
		return nil
	})
	r.clock.move(6 * time.Minute) // 12 since there saw it, 6 since here
	redis.polled(t, 2)
	if _, err := there.Current(s); err != nil {
		t.Errorf("a stream there: %v", err)
	}
	if _, err := opens(there, b); err != nil {
		t.Errorf("it is idle there alone: %v", err)
	}
	r.clock.move(10*time.Minute + time.Second)
	for _, at := range []*redisstore.Store{here, there} {
		if err := wantsError(at, b, session.ErrExpired)(); err != nil {
			t.Error(err)
		}
	}
}

func TestASessionEndsWithItsLifetime(t *testing.T) {
	t.Parallel()
	r := newReplicas(t, startRedis(t).url())
	here, there := r.add(), r.add()
	b, s := r.login(here, "alice", "first")
	r.clock.move(12*time.Hour - time.Minute)
	for _, at := range []*redisstore.Store{here, there} {
		if _, err := opens(at, b); err != nil {
			t.Error(err)
		}
	}
	r.clock.move(time.Minute)
	for _, at := range []*redisstore.Store{here, there} {
		if err := wantsError(at, b, session.ErrExpired)(); err != nil {
			t.Error(err)
		}
		if _, err := at.Current(s); !errors.Is(err, session.ErrExpired) {
			t.Error(err)
		}
	}
}

func TestForgedCookiesAreNoSession(t *testing.T) {
	t.Parallel()
	r := newReplicas(t, startRedis(t).url())
	at := r.add()
	b, s := r.login(at, "alice", "first")
	value := b["__Host-authgate"]
	for sent, want := range map[string]error{
		"": session.ErrNoCookie,
		"__Host-authgate=" + r.stranger()["__Host-authgate"]: session.ErrExpired,
		"__Host-authgate=" + s.ID:                            session.ErrInvalid,
		"__Host-authgate=" + value + "A":                     session.ErrInvalid,
		"__Host-authgate=" + value[:42]:                      session.ErrInvalid,
		"__Host-authgate=" + value + "=":                     session.ErrInvalid,
		"authgate=" + value:                                  session.ErrNoCookie,
		"__Host-authgate=x; __Host-authgate=" + value:        nil, // x was no session ever

		"__Host-authgate=" + r.stranger()["__Host-authgate"] + "; __Host-authgate=" + value: session.ErrAmbiguous,
	} {
		if _, err := at.Open(t.Context(), http.Header{"Cookie": {sent}}, true); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", sent, err, want)
		}
	}
}

func BenchmarkOpenASessionOfRedis(b *testing.B) {
	r := newReplicas(b, startRedis(b).url())
	at := r.add()
	kept, _ := r.login(at, "alice", "first")
	h := kept.Headers()
	ctx := b.Context()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := at.Open(ctx, h, true); err != nil {
				b.Fatal(err)
			}
		}
	})
}
