package cookiestore_test

import (
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/example-org/authgate/session"
	"github.com/example-org/authgate/session/cookiestore"
	"github.com/example-org/authgate/session/sessiontest"
)

// decrypts reports whether opening costs the memory that decryption needs.
func decrypts(t *testing.T, c *cookiestore.Store, h http.Header) bool {
	t.Helper()
	return testing.AllocsPerRun(1, func() { _, _ = c.Open(t.Context(), h, true) }) > 0
}

func TestCookieSeenBeforeIsNotDecryptedAgain(t *testing.T) {
	// Not parallel: allocations are counted.
	c := cookies(t)
	for _, s := range []session.Session{session.New(alice(20), sessiontest.Noon, time.Hour), session.New(incompressible(sizes[2]), sessiontest.Noon, time.Hour)} {
		h := save(t, c, s, true)
		for range 3 {
			got, err := c.Open(t.Context(), h, true)
			if err != nil || got.ID != s.ID || len(got.Principal.Groups) != len(s.Principal.Groups) {
				t.Fatalf("got %v, %v", got.ID, err)
			}
		}
		if decrypts(t, c, h) {
			t.Error("a cookie that was opened before is decrypted again")
		}
	}
}

func TestOnlyTheVeryCookieThatWasOpenedIsRemembered(t *testing.T) {
	t.Parallel()
	c := cookies(t)
	h := save(t, c, session.New(alice(1), sessiontest.Noon, time.Hour), true)
	others := save(t, c, session.New(called("bob", alice(1)), sessiontest.Noon, time.Hour), true)
	name, mine, _ := strings.Cut(h.Get("Cookie"), "=")
	for range 2 {
		if s, err := c.Open(t.Context(), h, true); err != nil || s.Principal.Subject != "alice" {
			t.Fatalf("got %+v, %v", s.Principal, err)
		}
		if s, err := c.Open(t.Context(), others, true); err != nil || s.Principal.Subject != "bob" {
			t.Fatalf("got %+v, %v", s.Principal, err)
		}
		for what, cookie := range map[string]string{
			"under the name of plain http": "authgate=" + mine,
			"a byte more":                  name + "=" + mine + "A",
			"a byte less":                  name + "=" + mine[:len(mine)-1],
			"next to another's":            name + "=" + mine + "; " + others.Get("Cookie"),
		} {
			for _, secure := range []bool{true, false} {
				if s, err := c.Open(t.Context(), http.Header{"Cookie": {cookie}}, secure); err == nil {
					t.Errorf("%s: opened as %+v", what, s.Principal)
				}
			}
		}
	}
}

func TestSessionThatIsRememberedStillEnds(t *testing.T) {
	t.Parallel()
	now := sessiontest.Noon
	c := cookies(t, clocked(func() time.Time { return now }))
	h := save(t, c, session.New(alice(1), sessiontest.Noon, time.Hour), true)
	for _, now = range []time.Time{sessiontest.Noon, sessiontest.Noon.Add(time.Hour - time.Second)} {
		if _, err := c.Open(t.Context(), h, true); err != nil {
			t.Errorf("before its end: %v", err)
		}
	}
	now = sessiontest.Noon.Add(time.Hour)
	for range 2 { // the first time it is forgotten, the second decrypted
		if _, err := c.Open(t.Context(), h, true); !errors.Is(err, session.ErrExpired) {
			t.Errorf("at its end: %v", err)
		}
	}
}

// Ten thousand people who come by turns, as many more cookies that are forged,
// the heap afterwards, and who is remembered.
func TestMemoryOfCookiesIsBounded(t *testing.T) {
	// Not parallel: the heap is looked at.
	c := cookies(t)
	const people = 10_000
	before := sessiontest.Heap()
	var some []http.Header
	for i := range people {
		g := called(fmt.Sprint("person-", i), alice(20))
		h := save(t, c, session.New(g, sessiontest.Noon, time.Hour), true)
		forged := h["Cookie"][0][:200] + fmt.Sprint(i)
		h["Cookie"][0] += "; other=" + strings.Repeat("x", 6000) // what else the browser sends is not kept
		if s, err := c.Open(t.Context(), h, true); err != nil || s.Principal.Subject != g.Principal.Subject {
			t.Fatalf("%s: %+v, %v", g.Principal.Subject, s.Principal, err)
		}
		if _, err := c.Open(t.Context(), http.Header{"Cookie": {forged}}, true); err == nil {
			t.Fatal("a forged cookie opened")
		}
		if i%100 == 99 {
			some = append(some, h)
		}
	}
	if grown := sessiontest.Heap() - before; grown > 20<<20 {
		t.Errorf("%d people cost %d MiB, want at most 20", people, grown>>20)
	} else {
		t.Logf("%d people cost %d MiB", people, grown>>20)
	}
	forgotten := 0
	for _, h := range some {
		if decrypts(t, c, h) {
			forgotten++
		}
	}
	if forgotten > 2 {
		t.Errorf("%d of %d people are decrypted again when their turn comes again", forgotten, len(some))
	}
	runtime.KeepAlive(c)
}

func TestManyRequestsOpenAtOnce(t *testing.T) {
	t.Parallel()
	c := cookies(t)
	var all []http.Header
	for i := range 20 {
		all = append(all, save(t, c, session.New(called(fmt.Sprint(i), alice(2)), sessiontest.Noon, time.Hour), true))
	}
	var requests sync.WaitGroup
	for range 8 {
		requests.Go(func() {
			for range 50 {
				for i, h := range all {
					if s, err := c.Open(t.Context(), h, true); err != nil || s.Principal.Subject != fmt.Sprint(i) {
						t.Errorf("session %d: %+v, %v", i, s.Principal, err)
					}
				}
			}
		})
	}
	requests.Wait()
}
