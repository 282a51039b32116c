package session_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/example-org/authgate/identity"
	"github.com/example-org/authgate/session"
	"github.com/example-org/authgate/session/cookie"
	"github.com/example-org/authgate/session/cookiestore"
	"github.com/example-org/authgate/session/seal"
	"github.com/example-org/authgate/session/sessiontest"
)

const (
	soakSeed     = 20261124
	soakFor      = 10 * time.Minute // of the bubble's clock
	soakEvery    = time.Minute
	soakGrace    = time.Minute
	soakLifetime = 7 * time.Minute
	soakIdle     = 5 * time.Minute
	soakMemory   = 128 << 20 // of store and keeper together
)

// TestSoakOfManySessions has people come and go, groups change, keys rotate and
// the issuer fail, and judges every answer by what the issuer knows to be true.
func TestSoakOfManySessions(t *testing.T) {
	people := soakPeople
	if testing.Short() {
		people = 5_000
	}
	synctest.Test(t, func(t *testing.T) { soakOf(t, people) })
}

// soak is a town: its people, their browsers, their issuer.
type soak struct {
	t      *testing.T
	keeper *session.Refresher
	ring   *seal.Keyring
	begun  time.Time
	people []citizen

	keys      []string
	rotations atomic.Int64
	failing   atomic.Int64 // until when the issuer fails, or failed, in Unix nanoseconds
	slow      atomic.Bool
	refused   sync.Map // session ID: reported by the Refresher

	requests, renewals, stale, over, broken, logins, ended, wrong atomic.Int64
}

func soakOf(t *testing.T, people int) {
	t.Logf("seed %d, %d sessions", soakSeed, people)
	random := rand.New(rand.NewPCG(soakSeed, 1)) //nolint:gosec // a test that repeats
	s := &soak{t: t, begun: time.Now(), people: make([]citizen, people)}
	s.keys = []string{seal.NewKey()}
	s.ring = seal.NewKeyring(sessiontest.Keys(t, s.keys...))
	store := cookiestore.New(cookiestore.Options{
		Cookie: cookie.New("authgate", "", http.SameSiteLaxMode), Keyring: s.ring, IdleTimeout: soakIdle,
	})
	s.keeper = session.NewRefresher(session.RefresherOptions{
		Store: store, Refresh: s.ask, Lifetime: soakLifetime, IdleTimeout: soakIdle, RefreshEvery: soakEvery, RefreshGrace: soakGrace,
		Refreshed: func(one session.Session, err error) {
			s.renewals.Add(1)
			var refused *identity.RefreshRefusedError
			if errors.As(err, &refused) {
				s.refused.Store(one.ID, true)
			}
		},
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	ctx, stop := context.WithCancel(t.Context())
	var ran, going sync.WaitGroup
	ran.Go(func() { s.keeper.Run(ctx) })
	for i := range s.people {
		s.signIn(i)
	}
	for second := range int(soakFor / time.Second) {
		s.events(second, random)
		for range people / 200 { // one in ten is at work, the others look in now and then
			s.visit(&going, random.IntN(people/10), random.Uint64())
		}
		for range people / 300 {
			s.visit(&going, random.IntN(people), random.Uint64())
		}
		time.Sleep(time.Second) // of the bubble's clock
		if t.Failed() && s.wrong.Load() > 20 {
			break
		}
	}
	going.Wait()
	stop()
	ran.Wait()
	s.report()

	with := sessiontest.Heap()
	runtime.KeepAlive(store)
	runtime.KeepAlive(s.keeper)
	store, s.keeper, s.ring = nil, nil, nil
	if held := with - sessiontest.Heap(); held > soakMemory {
		t.Errorf("store and keeper hold %d MiB for %d sessions; want %d at most", held>>20, people, soakMemory>>20)
	} else {
		t.Logf("store and keeper hold %.1f MiB", float64(held)/(1<<20))
	}
}

func (s *soak) report() {
	s.t.Logf("%d requests, %d renewals, %d logins, %d signed out; %d over, %d broken, %d stale",
		s.requests.Load(), s.renewals.Load(), s.logins.Load(), s.ended.Load(), s.over.Load(), s.broken.Load(), s.stale.Load())
	for what, n := range map[string]*atomic.Int64{"renewal": &s.renewals, "end": &s.over, "request too old": &s.stale, "sign-out": &s.ended} {
		if n.Load() == 0 {
			s.t.Errorf("not one %s: the soak tries nothing", what)
		}
	}
}

// events are what happens to all users in a second.
func (s *soak) events(second int, random *rand.Rand) {
	for range len(s.people) / 100 {
		one := &s.people[random.IntN(len(s.people))]
		one.mu.Lock()
		one.version++
		one.mu.Unlock()
	}
	for range len(s.people) / 5_000 {
		one := &s.people[random.IntN(len(s.people))]
		one.mu.Lock()
		one.revoked = time.Now()
		one.mu.Unlock()
	}
	if second%100 == 99 {
		s.keys = slices.Insert(s.keys, 0, seal.NewKey())
		s.keys = s.keys[:min(len(s.keys), 3)]
		s.ring.Set(sessiontest.Keys(s.t, s.keys...))
		s.rotations.Add(1)
	}
	switch second {
	case 130, 300: // longer than some groups may be old; shorter than any
		s.failing.Store(time.Now().Add(map[int]time.Duration{130: 100 * time.Second, 300: 20 * time.Second}[second]).UnixNano())
	case 400, 430:
		s.slow.Store(second == 400)
	}
}

func (s *soak) fault(format string, args ...any) {
	if s.wrong.Add(1) <= 20 {
		s.t.Errorf("after %s: %s", time.Since(s.begun), fmt.Sprintf(format, args...))
	}
}

// visit is one to three requests at a time of one browser, and now and then of
// a copy of its cookie from before the sign-out.
func (s *soak) visit(going *sync.WaitGroup, n int, dice uint64) {
	for range 1 + int(dice%16)/14 + int(dice%16)/15 {
		going.Go(func() { s.request(n, dice) })
	}
}

func (s *soak) request(n int, dice uint64) {
	c := &s.people[n]
	c.mu.Lock()
	h, sealed, id, begun, tried, over, copied, copyOf := c.header(), c.sealed, c.id, c.begun, c.tried, c.over, c.copied, c.copyOf
	c.tried = time.Now()
	c.mu.Unlock()
	ctx := s.t.Context()
	if copied != nil {
		if one, err := s.keeper.Find(ctx, copied, true); err == nil {
			s.fault("%s: a cookie that was copied before sign-out is still valid", one.Principal.Subject)
		} else if errors.Is(err, session.ErrInvalid) && s.rotations.Load()-copyOf < 3 {
			s.fault("p%d: a copied cookie is broken: %v", n, err)
		}
	}
	_, reported := s.refused.Load(id)
	s.requests.Add(1)
	one, err := s.keeper.Find(ctx, h, true)
	now := time.Now()

	c.mu.Lock()
	if c.id != id { // another request has signed in meanwhile
		c.mu.Unlock()
		return
	}
	revoked := c.revoked
	over = over || reported
	switch {
	case err == nil:
		s.judge(n, one, now, over, begun, tried, revoked)
		c.used = now
		c.mu.Unlock()
		s.respond(c, n, h, sealed, one, dice)
		return
	case errors.Is(err, session.ErrStale):
		s.stale.Add(1)
		if failed := time.Unix(0, s.failing.Load()); now.Sub(failed) > 75*time.Second && !s.slow.Load() {
			s.fault("p%d: turned away %s after the issuer was well again: %v", n, now.Sub(failed), err)
		}
		c.mu.Unlock()
		return
	case errors.Is(err, session.ErrExpired):
		s.over.Add(1)
		if _, reported := s.refused.Load(id); !over && !c.over && !reported && revoked.IsZero() &&
			now.Sub(begun) < soakLifetime && now.Sub(c.used) < soakIdle-soakIdle/10 {
			s.fault("p%d: lost its session, begun %s and used %s ago: %v", n, now.Sub(begun), now.Sub(c.used), err)
		}
	case errors.Is(err, session.ErrInvalid):
		s.broken.Add(1)
		if s.rotations.Load()-sealed < 3 {
			s.fault("p%d: broken after %d rotations", n, s.rotations.Load()-sealed)
		}
	case errors.Is(err, session.ErrNoCookie) && (over || c.over):
	default:
		s.fault("p%d: %v", n, err)
	}
	c.mu.Unlock()
	s.signIn(n)
}

// respond is what an upstream's answer, or a sign-out, does to the browser.
func (s *soak) respond(c *citizen, n int, h http.Header, sealed int64, one session.Session, dice uint64) {
	w := browser{}
	rotations := s.rotations.Load()
	if dice%256 == 0 {
		if err := s.keeper.End(s.t.Context(), w, h, one, true); err != nil {
			s.fault("signing out: %v", err)
		}
		s.ended.Add(1)
	} else {
		s.keeper.WriteCookie(w, h, one, true)
	}
	c.mu.Lock()
	if c.id == one.ID { // and has not signed in meanwhile
		if dice%256 == 0 {
			c.over, c.copied, c.copyOf = true, h, sealed
		}
		s.take(c, w, rotations)
	}
	c.mu.Unlock()
	if dice%256 == 1 { // a stream, a second later
		time.Sleep(time.Second) // of the bubble's clock
		s.stream(c, n, one)
	}
}

// judge holds what authgate believes to what is true.
func (s *soak) judge(n int, one session.Session, now time.Time, over bool, begun, tried, revoked time.Time) {
	groups := one.Principal.Groups
	if len(groups) != 3 || one.Principal.Subject != fmt.Sprint("p", n) || groups[0] != fmt.Sprint("of:", n) {
		s.fault("p%d came as %s with %q", n, one.Principal.Subject, groups)
		return
	}
	read, err := strconv.ParseInt(strings.TrimPrefix(groups[1], "read:"), 10, 64)
	if age := now.Sub(time.Unix(0, read)); err != nil || age >= soakEvery+soakGrace {
		s.fault("p%d came with groups %s old", n, age)
	}
	switch {
	case over:
		s.fault("p%d came after its session had ended", n)
	case now.Sub(begun) >= soakLifetime:
		s.fault("p%d came %s after its login", n, now.Sub(begun))
	case now.Sub(tried) > soakIdle+soakIdle/10:
		s.fault("p%d came after %s without a request", n, now.Sub(tried))
	case !revoked.IsZero() && now.Sub(revoked) >= soakEvery+soakGrace:
		s.fault("p%d came %s after its grant was revoked", n, now.Sub(revoked))
	}
}

func (s *soak) stream(c *citizen, n int, one session.Session) {
	c.mu.Lock()
	id, over, begun, tried := c.id, c.over, c.begun, c.tried
	c.mu.Unlock()
	if id != one.ID {
		return
	}
	_, reported := s.refused.Load(id)
	began := time.Now()
	got, err := s.keeper.Current(one)
	if waited := time.Since(began); waited > 0 {
		s.fault("p%d: a stream waited %s", n, waited)
	}
	if err == nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.id == id {
			s.judge(n, got, time.Now(), over || reported, begun, tried, c.revoked)
		}
	}
}
