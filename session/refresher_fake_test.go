package session_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/example-org/authgate/identity"
	"github.com/example-org/authgate/session"
)

// shelf is the simplest store: what it holds is what there is. A cookie is the
// session's ID.
type shelf struct {
	mu      sync.Mutex
	holds   map[string]session.Session
	shared  bool                       // one grant for all sessions of a person, as in redis
	pinned  map[string]session.Session // what Open gives of an ID, however old that is
	down    error
	renewed atomic.Int32
}

func (s *shelf) Open(_ context.Context, h http.Header, _ bool) (session.Session, error) {
	return s.get(strings.TrimPrefix(h.Get("Cookie"), "id="))
}

func (s *shelf) get(id string) (session.Session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return session.Session{}, s.down
	}
	if one, ok := s.pinned[id]; ok {
		return one, nil
	}
	one, ok := s.holds[id]
	if !ok {
		return session.Session{}, session.ErrExpired
	}
	return one, nil
}

func (s *shelf) Current(one session.Session) (session.Session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return session.Session{}, s.down
	}
	one, ok := s.holds[one.ID]
	if !ok {
		return session.Session{}, session.ErrExpired
	}
	return one, nil
}

func (s *shelf) Create(_ context.Context, w http.ResponseWriter, _ http.Header, one session.Session, _ bool) (session.Session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return session.Session{}, s.down
	}
	s.holds[one.ID] = one
	w.Header().Set("Cookie", "id="+one.ID)
	return one, nil
}

func (s *shelf) Refresh(ctx context.Context, one session.Session, refresh session.RefreshFunc) (session.Session, error) {
	s.renewed.Add(1)
	g, err := refresh(ctx, one.TokenSet)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return session.Session{}, s.down
	}
	for id, other := range s.holds {
		switch {
		case id != one.ID && (!s.shared || other.Principal.Subject != one.Principal.Subject):
		case err == nil:
			other.TokenSet = g
			s.holds[id] = other
		case ends(err):
			delete(s.holds, id)
		}
	}
	if err != nil {
		return session.Session{}, err
	}
	got, ok := s.holds[one.ID]
	if !ok {
		return session.Session{}, session.ErrExpired
	}
	return got, nil
}

func (s *shelf) RefreshKey(one session.Session) string {
	if s.shared {
		return one.Principal.Subject
	}
	return one.ID
}

func (s *shelf) Revoke(_ context.Context, which session.Filter) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return 0, s.down
	}
	delete(s.holds, which.ID)
	return 1, nil
}

func (s *shelf) change(id string, change func(*session.Session)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.holds[id]
	change(&one)
	s.holds[id] = one
}

func (s *shelf) set(down error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = down
}

func (s *shelf) WriteCookie(http.ResponseWriter, http.Header, session.Session, bool) {}
func (s *shelf) ClearCookie(w http.ResponseWriter, _ http.Header, _ bool) {
	w.Header().Set("Cookie", "gone")
}
func (s *shelf) CheckBearer(*identity.Token) error { return nil }
func (s *shelf) DenyBearer(context.Context, [32]byte, time.Time) error {
	return nil
}
func (s *shelf) Down() error             { return s.down }
func (s *shelf) Run(ctx context.Context) { <-ctx.Done() }
func (s *shelf) List(context.Context, session.Filter) ([]session.Session, error) {
	return nil, session.ErrNotListable
}

// kept is a Refresher with a shelf and an issuer that answers as set.
type kept struct {
	*session.Refresher
	t        *testing.T
	shelf    *shelf
	issuer   atomic.Pointer[session.RefreshFunc] // nil: new groups at once
	shift    atomic.Int64                        // of authgate's clock
	asked    atomic.Int32
	at       atomic.Int32 // the issuer now
	most     atomic.Int32 // at the issuer at one time
	when     lines        // the issuer was asked
	reported lines        // Refreshed
	log      lines
}

type lines struct {
	mu   sync.Mutex
	text []string
}

func (l *lines) add(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, text)
}

func (l *lines) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.text)
}

func (l *lines) Write(p []byte) (int, error) {
	l.add(string(bytes.TrimSpace(p)))
	return len(p), nil
}

const (
	every = 10 * time.Minute
	grace = 15 * time.Minute
)

// keep builds a Keeper in a bubble. Its clock is that of the bubble.
func keep(t *testing.T, change func(*session.RefresherOptions)) *kept {
	t.Helper()
	k := &kept{t: t, shelf: &shelf{holds: map[string]session.Session{}, pinned: map[string]session.Session{}}}
	o := session.RefresherOptions{
		Store: k.shelf, Refresh: k.ask, Lifetime: 12 * time.Hour, RefreshEvery: every, RefreshGrace: grace,
		Refreshed: func(s session.Session, err error) {
			if err == nil {
				k.reported.add(s.Principal.Subject + " ok")
				return
			}
			k.reported.add(s.Principal.Subject + " " + err.Error())
		},
		Log: slog.New(slog.NewTextHandler(&k.log, nil)), Now: k.now,
	}
	if change != nil {
		change(&o)
	}
	k.Refresher = session.NewRefresher(o)
	return k
}

// running is keep, with Run running until the test ends.
func running(t *testing.T, change func(*session.RefresherOptions)) *kept {
	t.Helper()
	k := keep(t, change)
	var ran sync.WaitGroup
	ctx, stop := context.WithCancel(t.Context())
	ran.Go(func() { k.Run(ctx) })
	t.Cleanup(func() { stop(); ran.Wait() })
	synctest.Wait()
	return k
}

func (k *kept) now() time.Time { return time.Now().Add(time.Duration(k.shift.Load())) }

func (k *kept) ask(ctx context.Context, g identity.TokenSet) (identity.TokenSet, error) {
	k.asked.Add(1)
	k.when.add(k.now().Format(time.RFC3339Nano))
	here := k.at.Add(1)
	defer k.at.Add(-1)
	for most := k.most.Load(); here > most && !k.most.CompareAndSwap(most, here); most = k.most.Load() {
	}
	if answer := k.issuer.Load(); answer != nil {
		return (*answer)(ctx, g)
	}
	return k.newTokens(g), nil
}

// newTokens is the issuer's response without an error.
func (k *kept) newTokens(g identity.TokenSet) identity.TokenSet {
	g.Principal.Groups = []string{"new"}
	g.RefreshToken += "+"
	g.FetchedAt = k.now()
	return g
}

func (k *kept) answer(a session.RefreshFunc) { k.issuer.Store(&a) }

// failing has the issuer fail with err from now on, at once.
func (k *kept) failing(err error) {
	k.answer(func(context.Context, identity.TokenSet) (identity.TokenSet, error) { return identity.TokenSet{}, err })
}

// hanging has the issuer not answer before the channel is closed.
func (k *kept) hanging() (release func()) {
	gate := make(chan struct{})
	k.answer(func(ctx context.Context, g identity.TokenSet) (identity.TokenSet, error) {
		select {
		case <-gate:
			return k.newTokens(g), nil
		case <-ctx.Done():
			return identity.TokenSet{}, ctx.Err()
		}
	})
	return sync.OnceFunc(func() { close(gate) })
}

// signIn gives the session of a user who signs in now, and what its browser sends.
func (k *kept) signIn(subject string) (session.Session, http.Header) {
	k.t.Helper()
	return k.signInWith(identity.TokenSet{RefreshToken: "r", FetchedAt: k.now(), Principal: identity.Principal{
		Issuer: "https://dex.example.com", Subject: subject, Groups: []string{"old"}, Expiry: k.now().Add(24 * time.Hour),
	}})
}

func (k *kept) signInWith(g identity.TokenSet) (session.Session, http.Header) {
	k.t.Helper()
	w := httptest.NewRecorder()
	s, err := k.Create(k.t.Context(), w, http.Header{}, g, true)
	if err != nil {
		k.t.Fatal(err)
	}
	return s, http.Header{"Cookie": {w.Header().Get("Cookie")}}
}

// groups is a request: the groups that it comes with, or why it has no session.
func (k *kept) groups(h http.Header) (string, error) {
	s, err := k.Find(k.t.Context(), h, true)
	if err == nil && "id="+s.ID != h.Get("Cookie") {
		k.t.Errorf("%s came as %s", h.Get("Cookie"), s.ID)
	}
	return strings.Join(s.Principal.Groups, " "), err
}

// wants is a request that comes with these groups, without waiting.
func (k *kept) wants(h http.Header, groups string) {
	k.t.Helper()
	began := time.Now()
	got, err := k.groups(h)
	if err != nil || got != groups {
		k.t.Errorf("the request came with groups %q, %v; want %q", got, err, groups)
	}
	if waited := time.Since(began); waited > 0 {
		k.t.Errorf("the request waited %s", waited)
	}
}

func (k *kept) wantsAsked(times int32) {
	k.t.Helper()
	if got := k.asked.Load(); got != times {
		k.t.Errorf("the issuer was asked %d times, want %d", got, times)
	}
}

// later waits until when everything that began by then has come to rest.
func later(d time.Duration) {
	time.Sleep(d) // of the bubble's clock
	synctest.Wait()
}
