package cookiestore_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/example-org/authgate/identity"
	"github.com/example-org/authgate/session"
	"github.com/example-org/authgate/session/cookiestore"
	"github.com/example-org/authgate/session/seal"
	"github.com/example-org/authgate/session/sessiontest"
)

// respond answers a request with these headers, and reports whether the browser
// was given a cookie.
func respond(t testing.TB, c *cookiestore.Store, b sessiontest.Browser, h http.Header) bool {
	t.Helper()
	s, err := c.Open(t.Context(), h, true)
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	c.WriteCookie(w, h, s, true)
	b.Take(w)
	return len(w.Result().Cookies()) > 0
}

// watch is a clock to be set, for one goroutine.
type watch struct{ time time.Time }

func (w *watch) now() time.Time            { return w.time }
func (w *watch) pass(d time.Duration)      { w.time = w.time.Add(d) }
func (w *watch) in(o *cookiestore.Options) { o.Now = w.now }

// renewing answers with a new group and the next refresh token, and insists on
// being shown the last one it gave.
type renewing struct {
	t     testing.TB
	clock *watch
	n     int
}

func (r *renewing) ask(_ context.Context, g identity.TokenSet) (identity.TokenSet, error) {
	if want := fmt.Sprint("refresh-", r.n); g.RefreshToken != want {
		r.t.Errorf("it was shown %s, want %s", g.RefreshToken, want)
	}
	r.n++
	g.RefreshToken, g.FetchedAt = fmt.Sprint("refresh-", r.n), r.clock.time
	g.Principal.Groups = []string{fmt.Sprint("example-org:read-", r.n)}
	g.SessionID = ""
	return g, nil
}

func idleAfter(d time.Duration) func(*cookiestore.Options) {
	return func(o *cookiestore.Options) { o.IdleTimeout = d }
}

func openAs(t testing.TB, c *cookiestore.Store, h http.Header) session.Session {
	t.Helper()
	s, err := c.Open(t.Context(), h, true)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestRefreshedSessionIsFoundByItsOlderCookieUntilTheBrowserHasTheNewOne(t *testing.T) {
	t.Parallel()
	clock := &watch{sessiontest.Noon}
	ring := seal.NewKeyring(sessiontest.Keys(t, seal.NewKey()))
	c, issuer := cookies(t, clock.in, under(ring)), &renewing{t: t, clock: clock}
	g := alice(1)
	g.SessionID = "sid"
	h, b := save(t, c, session.New(g, sessiontest.Noon, time.Hour), true), sessiontest.Browser{}
	stream := openAs(t, c, h)
	for round := 1; round <= 3; round++ {
		clock.pass(time.Minute)
		if _, err := c.Refresh(t.Context(), stream, issuer.ask); err != nil { // knows the older one alone
			t.Fatal(err)
		}
		want := fmt.Sprint("example-org:read-", round)
		current, err := c.Current(stream)
		for what, s := range map[string]session.Session{"the cookie of the login": openAs(t, c, h), "the stream": current} {
			if err != nil || s.Principal.Groups[0] != want || s.ID != stream.ID || !s.FetchedAt.Equal(clock.time) || s.SessionID != "sid" {
				t.Errorf("round %d, %s: %+v, %v", round, what, s.Principal.Groups, err)
			}
		}
	}
	if !respond(t, c, b, h) {
		t.Fatal("the browser is not given the new one")
	}
	if respond(t, c, sessiontest.Browser{}, h) {
		t.Error("a response at the same moment gives another")
	}
	clock.pass(3 * time.Second)
	if !respond(t, c, sessiontest.Browser{}, h) {
		t.Error("the browser shows the older one, and is not given the new one again")
	}
	if respond(t, c, b, b.Headers()) {
		t.Error("the browser has it, and is given it again")
	}
	if s := openAs(t, c, h); s.Principal.Groups[0] != "example-org:read-3" { // of a request that was under way
		t.Errorf("the older cookie, later: %q", s.Principal.Groups)
	}
	if s := openAs(t, cookies(t, clock.in, under(ring)), b.Headers()); s.Principal.Groups[0] != "example-org:read-3" || s.RefreshToken != "refresh-3" {
		t.Errorf("after a restart: %q", s.Principal.Groups)
	}
}

func TestRotatedRefreshTokenIsKeptAlthoughTheGroupsCouldNotBeVerified(t *testing.T) {
	t.Parallel()
	clock := &watch{sessiontest.Noon}
	c := cookies(t, clock.in)
	h := save(t, c, session.New(alice(1), sessiontest.Noon, time.Hour), true)
	unverified := &identity.UnverifiedError{}
	_, err := c.Refresh(t.Context(), openAs(t, c, h), func(_ context.Context, g identity.TokenSet) (identity.TokenSet, error) {
		unverified.Tokens = g
		unverified.Tokens.RefreshToken = "refresh-1"
		return identity.TokenSet{}, unverified
	})
	s := openAs(t, c, h)
	var got *identity.UnverifiedError
	if !errors.As(err, &got) || s.RefreshToken != "refresh-1" || !s.FetchedAt.Equal(sessiontest.Noon) || len(s.Principal.Groups) != 1 {
		t.Errorf("the token is %s, read at %s", s.RefreshToken, s.FetchedAt)
	}
	b := sessiontest.Browser{}
	if !respond(t, c, b, h) || openAs(t, c, b.Headers()).RefreshToken != "refresh-1" {
		t.Error("the browser was not given it")
	}
	issuer := &renewing{t: t, clock: clock, n: 1}
	if _, err := c.Refresh(t.Context(), s, issuer.ask); err != nil || openAs(t, c, h).RefreshToken != "refresh-2" {
		t.Errorf("the next renewal: %v", err)
	}
}

func TestFailureOfTheIssuerChangesNothing(t *testing.T) {
	t.Parallel()
	c := cookies(t)
	h := save(t, c, session.New(alice(1), sessiontest.Noon, time.Hour), true)
	fault := errors.New("bad gateway")
	_, err := c.Refresh(t.Context(), openAs(t, c, h), func(context.Context, identity.TokenSet) (identity.TokenSet, error) { return identity.TokenSet{}, fault })
	if !errors.Is(err, fault) || openAs(t, c, h).RefreshToken != "refresh-0" || respond(t, c, sessiontest.Browser{}, h) {
		t.Errorf("after %v", err)
	}
}

func TestSessionThatTheIssuerRefusedIsOver(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]error{
		"refused":  &identity.RefreshRefusedError{Status: 400, Code: "invalid_grant"},
		"impostor": &identity.SubjectMismatchError{Reason: "sub"},
	} {
		clock := &watch{sessiontest.Noon}
		ring := seal.NewKeyring(sessiontest.Keys(t, seal.NewKey()))
		here, there := cookies(t, clock.in, under(ring)), cookies(t, clock.in, under(ring))
		h, b := save(t, here, session.New(alice(1), sessiontest.Noon, time.Hour), true), sessiontest.Browser{}
		// Another replica was first, and so this one is refused.
		issuer := &renewing{t: t, clock: clock}
		if _, err := there.Refresh(t.Context(), openAs(t, there, h), issuer.ask); err != nil || !respond(t, there, b, h) {
			t.Fatal(err)
		}
		s := openAs(t, here, h)
		refuse := func(context.Context, identity.TokenSet) (identity.TokenSet, error) { return identity.TokenSet{}, fault }
		if _, err := here.Refresh(t.Context(), s, refuse); !errors.Is(err, fault) {
			t.Errorf("%s: %v", name, err)
		}
		for range 2 {
			if _, err := here.Open(t.Context(), h, true); !errors.Is(err, session.ErrExpired) {
				t.Errorf("%s: its cookie: %v", name, err)
			}
		}
		if _, err := here.Current(s); !errors.Is(err, session.ErrExpired) {
			t.Errorf("%s: its stream: %v", name, err)
		}
		if _, err := here.Refresh(t.Context(), s, issuer.ask); !errors.Is(err, session.ErrExpired) {
			t.Errorf("%s: renewed again: %v", name, err)
		}
		_, err := here.Open(t.Context(), b.Headers(), true)
		if valid := err == nil; valid != (name == "refused") {
			t.Errorf("%s: the newer cookie of another replica: %v", name, err)
		}
	}
}

func TestSessionThatEndsWhileItIsRenewedStaysOver(t *testing.T) {
	t.Parallel()
	clock := &watch{sessiontest.Noon}
	c, issuer := cookies(t, clock.in), &renewing{t: t, clock: clock}
	h := save(t, c, session.New(alice(1), sessiontest.Noon, time.Hour), true)
	s := openAs(t, c, h)
	_, err := c.Refresh(t.Context(), s, func(ctx context.Context, g identity.TokenSet) (identity.TokenSet, error) {
		if n, err := c.Revoke(ctx, session.Filter{ID: s.ID}); n != 1 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
		return issuer.ask(ctx, g)
	})
	if !errors.Is(err, session.ErrExpired) {
		t.Errorf("renewed: %v", err)
	}
	if _, err := c.Open(t.Context(), h, true); !errors.Is(err, session.ErrExpired) {
		t.Errorf("opened: %v", err)
	}
	w := httptest.NewRecorder()
	c.WriteCookie(w, h, s, true) // of a response that was under way
	if len(w.Result().Cookies()) > 0 {
		t.Error("the browser is given it again")
	}
}

func TestRenewalWithoutARefreshTokenLastsAsLongAsItsIDToken(t *testing.T) {
	t.Parallel()
	clock := &watch{sessiontest.Noon}
	c := cookies(t, clock.in)
	h := save(t, c, session.New(alice(1), sessiontest.Noon, 12*time.Hour), true)
	s, err := c.Refresh(t.Context(), openAs(t, c, h), func(_ context.Context, g identity.TokenSet) (identity.TokenSet, error) {
		g.RefreshToken, g.Principal.Expiry = "", sessiontest.Noon.Add(time.Hour)
		return g, nil
	})
	if err != nil || !s.Expires.Equal(sessiontest.Noon.Add(time.Hour)) {
		t.Errorf("it expires at %s, %v", s.Expires, err)
	}
	clock.pass(time.Hour)
	if _, err := c.Open(t.Context(), h, true); !errors.Is(err, session.ErrExpired) {
		t.Errorf("at the end of the ID token: %v", err)
	}
}

func TestLateResponseDoesNotPutAnOlderSessionInThePlaceOfANewLogin(t *testing.T) {
	t.Parallel()
	clock := &watch{sessiontest.Noon}
	c, issuer := cookies(t, clock.in), &renewing{t: t, clock: clock}
	h := save(t, c, session.New(alice(1), sessiontest.Noon, time.Hour), true)
	late := openAs(t, c, h)
	if _, err := c.Refresh(t.Context(), late, issuer.ask); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Create(t.Context(), httptest.NewRecorder(), h, session.New(called("bob", alice(1)), sessiontest.Noon, time.Hour), true); err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	c.WriteCookie(w, h, late, true)
	if len(w.Result().Cookies()) > 0 {
		t.Error("the browser is alice's again")
	}
}

func TestAnIdleSessionEndsAndOneInUseContinues(t *testing.T) {
	t.Parallel()
	clock := &watch{sessiontest.Noon}
	ring := seal.NewKeyring(sessiontest.Keys(t, seal.NewKey()))
	c := cookies(t, clock.in, under(ring), idleAfter(10*time.Minute))
	login := save(t, c, session.New(alice(1), sessiontest.Noon, 12*time.Hour), true)
	h, b := login, sessiontest.Browser{}
	stream := openAs(t, c, h)
	given := 0
	for range 40 {
		clock.pass(30 * time.Second)
		if respond(t, c, b, h) {
			given++
			h = b.Headers()
		}
	}
	if given != 20 {
		t.Errorf("in 20 minutes the browser was given %d cookies, want one a minute", given)
	}
	openAs(t, c, login) // an older cookie of a session that is in use
	if _, err := c.Current(stream); err != nil {
		t.Errorf("its stream: %v", err)
	}
	if _, err := cookies(t, clock.in, under(ring), idleAfter(10*time.Minute)).Open(t.Context(), login, true); !errors.Is(err, session.ErrExpired) {
		t.Errorf("where its use is unknown: %v", err)
	}
	for range 21 { // a stream asks, and that is no use
		clock.pass(30 * time.Second)
		_, err := c.Current(stream)
		if idle := clock.time.Sub(sessiontest.Noon) > 30*time.Minute; idle != errors.Is(err, session.ErrExpired) {
			t.Errorf("at %s its stream: %v", clock.time, err)
		}
	}
	for what, cookie := range map[string]http.Header{"the latest": h, "the first": login} {
		if _, err := c.Open(t.Context(), cookie, true); !errors.Is(err, session.ErrExpired) {
			t.Errorf("%s cookie, 10 minutes later: %v", what, err)
		}
	}
}

func TestClockThatIsSetBackMakesNoSessionLast(t *testing.T) {
	t.Parallel()
	clock := &watch{sessiontest.Noon.Add(time.Hour)} // an hour ahead
	ring := seal.NewKeyring(sessiontest.Keys(t, seal.NewKey()))
	c := cookies(t, clock.in, under(ring), idleAfter(10*time.Minute))
	g := alice(1)
	g.FetchedAt = clock.time
	h := save(t, c, session.New(g, clock.time, 12*time.Hour), true)
	for name, c := range map[string]*cookiestore.Store{"here": c, "after a restart": cookies(t, clock.in, under(ring), idleAfter(10*time.Minute))} {
		clock.time = sessiontest.Noon.Add(time.Hour)
		stream := openAs(t, c, h)
		clock.time = sessiontest.Noon
		b := sessiontest.Browser{}
		if !respond(t, c, b, h) || !openAs(t, c, b.Headers()).LastUsed.Equal(sessiontest.Noon) {
			t.Errorf("%s: the last use stays in the future", name)
		}
		clock.pass(10*time.Minute + time.Second)
		if _, err := c.Current(stream); !errors.Is(err, session.ErrExpired) {
			t.Errorf("%s: idle, and its stream goes on: %v", name, err)
		}
		if _, err := c.Open(t.Context(), b.Headers(), true); !errors.Is(err, session.ErrExpired) {
			t.Errorf("%s: idle, and it goes on: %v", name, err)
		}
	}
}

func TestRevokedSessionsAreOverAlsoThoseThatWereNotSeenYet(t *testing.T) {
	t.Parallel()
	const issuer = "https://dex.example.com"
	for name, test := range map[string]struct {
		which      func(alices session.Session) session.Filter
		count      int
		alice, bob bool // over
	}{
		"by id":      {func(s session.Session) session.Filter { return session.Filter{ID: s.ID} }, 1, true, false},
		"by e-mail":  {func(session.Session) session.Filter { return session.Filter{Email: "Alice@example.com"} }, 1, true, false},
		"by subject": {func(session.Session) session.Filter { return session.Filter{Issuer: issuer, Subject: "alice"} }, 1, true, false},
		"by session": {func(session.Session) session.Filter {
			return session.Filter{Issuer: issuer, IssuerSession: "sid-alice"}
		}, 1, true, false},
		"all":             {func(session.Session) session.Filter { return session.Filter{All: true} }, 2, true, true},
		"none":            {func(session.Session) session.Filter { return session.Filter{} }, 0, false, false},
		"other issuer":    {func(session.Session) session.Filter { return session.Filter{Issuer: "x", Subject: "alice"} }, 0, false, false},
		"id of another":   {func(s session.Session) session.Filter { return session.Filter{ID: s.ID, Email: "bob@example.com"} }, 0, false, false},
		"all of one user": {func(session.Session) session.Filter { return session.Filter{All: true, Email: "bob@example.com"} }, 1, false, true},
	} {
		for _, seen := range []bool{true, false} {
			clock := &watch{sessiontest.Noon}
			c := cookies(t, clock.in)
			begin := func(who string) (session.Session, http.Header) {
				g := called(who, alice(1))
				g.SessionID = "sid-" + who
				s := session.New(g, clock.time, time.Hour)
				return s, save(t, c, s, true)
			}
			hers, hersCookie := begin("alice")
			his, hisCookie := begin("bob")
			if seen {
				openAs(t, c, hersCookie)
				openAs(t, c, hisCookie)
			} else {
				test.count = 0
			}
			clock.pass(time.Second)
			if n, err := c.Revoke(t.Context(), test.which(hers)); n != test.count || err != nil {
				t.Errorf("%s: %d, %v; want %d", name, n, err, test.count)
			}
			check := func(who string, s session.Session, h http.Header, want bool) {
				_, opened := c.Open(t.Context(), h, true)
				_, current := c.Current(s)
				if errors.Is(opened, session.ErrExpired) != want || errors.Is(current, session.ErrExpired) != want {
					t.Errorf("%s, seen %v: %s: %v, %v", name, seen, who, opened, current)
				}
			}
			check("alice", hers, hersCookie, test.alice)
			check("bob", his, hisCookie, test.bob)
			clock.pass(time.Second)
			again, h := begin("alice")
			check("alice, signed in again", again, h, false)
			if n, err := c.Revoke(t.Context(), test.which(hers)); err != nil || name == "by id" && n != 0 {
				t.Errorf("%s: again: %d, %v", name, n, err)
			}
		}
	}
}
