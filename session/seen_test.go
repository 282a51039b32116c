package session_test

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
)

// decrypts reports whether opening costs the memory that decryption needs.
func decrypts(c *session.Cookies, h http.Header) bool {
	return testing.AllocsPerRun(1, func() { _, _ = c.Open(h, true) }) > 0
}

func TestCookieSeenBeforeIsNotDecryptedAgain(t *testing.T) {
	// Not parallel: allocations are counted.
	c := cookies(t, keys(t, session.NewKey()), "", at(noon))
	want := session.Begin(alice(20), noon, time.Hour)
	_, h := save(t, c, want, true)
	for range 3 {
		got, err := c.Open(h, true)
		if err != nil || got.ID != want.ID || len(got.Principal.Groups) != 20 {
			t.Fatalf("got %+v, %v", got, err)
		}
	}
	if decrypts(c, h) {
		t.Error("a cookie that was opened before is decrypted again")
	}
}

func TestOnlyTheVeryCookieThatWasOpenedIsRemembered(t *testing.T) {
	t.Parallel()
	c := cookies(t, keys(t, session.NewKey()), "", at(noon))
	mine, h := save(t, c, session.Begin(alice(1), noon, time.Hour), true)
	other := alice(1)
	other.Subject = "bob"
	_, others := save(t, c, session.Begin(other, noon, time.Hour), true)
	for range 2 {
		if s, err := c.Open(h, true); err != nil || s.Principal.Subject != "alice" {
			t.Fatalf("got %+v, %v", s, err)
		}
		if s, err := c.Open(others, true); err != nil || s.Principal.Subject != "bob" {
			t.Fatalf("got %+v, %v", s, err)
		}
		for what, cookie := range map[string]string{
			"under the name of plain http": "authgate=" + mine.Value,
			"a byte more":                  mine.Name + "=" + mine.Value + "A",
			"a byte less":                  mine.Name + "=" + mine.Value[:len(mine.Value)-1],
			"twice":                        mine.Name + "=" + mine.Value + "; " + mine.Name + "=" + mine.Value,
		} {
			for _, secure := range []bool{true, false} {
				if s, err := c.Open(http.Header{"Cookie": {cookie}}, secure); err == nil {
					t.Errorf("%s: opened as %+v", what, s)
				}
			}
		}
	}
}

func TestSessionThatIsRememberedStillEnds(t *testing.T) {
	t.Parallel()
	now := noon
	c := cookies(t, keys(t, session.NewKey()), "", func() time.Time { return now })
	_, h := save(t, c, session.Begin(alice(1), noon, time.Hour), true)
	if _, err := c.Open(h, true); err != nil {
		t.Fatal(err)
	}
	now = noon.Add(time.Hour - time.Second)
	if _, err := c.Open(h, true); err != nil {
		t.Errorf("a second before its end: %v", err)
	}
	now = noon.Add(time.Hour)
	for range 2 { // the first time it is forgotten, the second decrypted
		if _, err := c.Open(h, true); !errors.Is(err, session.ErrOver) {
			t.Errorf("at its end: %v", err)
		}
	}
}

func TestKeyThatIsGoneTakesWhatItOpenedWithIt(t *testing.T) {
	t.Parallel()
	old, fresh := session.NewKey(), session.NewKey()
	before := cookies(t, keys(t, old), "", at(noon))
	_, h := save(t, before, session.Begin(alice(1), noon, time.Hour), true)
	if _, err := before.Open(h, true); err != nil {
		t.Fatal(err)
	}
	if s, err := cookies(t, keys(t, fresh), "", at(noon)).Open(h, true); err == nil {
		t.Errorf("opened as %+v", s)
	}
}

// Ten thousand people who come by turns, as many more cookies that are forged,
// and the heap afterwards.
func TestMemoryOfCookiesIsBounded(t *testing.T) {
	// Not parallel: the heap is looked at.
	c := cookies(t, keys(t, session.NewKey()), "", at(noon))
	heap := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	const people = 10_000
	before := heap()
	var last http.Header
	for i := range people {
		p := alice(20)
		p.Subject = fmt.Sprint("person-", i)
		kept, h := save(t, c, session.Begin(p, noon, time.Hour), true)
		h["Cookie"][0] += "; other=" + strings.Repeat("x", 6000) // what else the browser sends is not kept
		if s, err := c.Open(h, true); err != nil || s.Principal.Subject != p.Subject {
			t.Fatalf("%s: %+v, %v", p.Subject, s, err)
		}
		if _, err := c.Open(http.Header{"Cookie": {kept.Name + "=" + kept.Value[:200] + fmt.Sprint(i)}}, true); err == nil {
			t.Fatal("a forged cookie opened")
		}
		last = h
	}
	if grown := heap() - before; grown > 20<<20 {
		t.Errorf("%d people cost %d MiB, want at most 20", people, grown>>20)
	}
	if decrypts(c, last) {
		t.Error("the person who came last is not remembered")
	}
	runtime.KeepAlive(c)
}

func TestManyRequestsOpenAtOnce(t *testing.T) {
	t.Parallel()
	c := cookies(t, keys(t, session.NewKey()), "", at(noon))
	var all []http.Header
	for i := range 20 {
		p := alice(2)
		p.Subject = fmt.Sprint(i)
		_, h := save(t, c, session.Begin(p, noon, time.Hour), true)
		all = append(all, h)
	}
	var requests sync.WaitGroup
	for range 8 {
		requests.Go(func() {
			for range 50 {
				for i, h := range all {
					if s, err := c.Open(h, true); err != nil || s.Principal.Subject != fmt.Sprint(i) {
						t.Errorf("session %d: %+v, %v", i, s, err)
					}
				}
			}
		})
	}
	requests.Wait()
}

// FuzzStrip holds Strip to its plain form: split, drop, join.
func FuzzStrip(f *testing.F) {
	k, err := session.ParseKeys(session.NewKey())
	if err != nil {
		f.Fatal(err)
	}
	c, err := session.NewCookies(k, "authgate", "", at(noon))
	if err != nil {
		f.Fatal(err)
	}
	for _, line := range []string{
		"", ";", "a=1; b=2", "__Host-authgate=s", "a=1; __Host-authgate=s; b=2", "__Host-authgate=s; a=1;b=2",
		" ;authgate=1; ;authgate=2;\t", "a=1;authgate-login-x=1;b=2;=authgate=1;c", `a="1; authgate=2"; b`,
	} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		if len(line) > 4096 {
			return
		}
		var kept []string
		for part := range strings.SplitSeq(line, ";") {
			if !c.Owns(part) {
				kept = append(kept, part)
			}
		}
		want, changed := []string{line}, len(kept) < strings.Count(line, ";")+1
		if changed {
			want = nil
			if rest := strings.Trim(strings.Join(kept, ";"), " \t"); rest != "" {
				want = []string{rest}
			}
		}
		sent := []string{line}
		h := http.Header{"Cookie": sent}
		c.Strip(h)
		if fmt.Sprintf("%q", h["Cookie"]) != fmt.Sprintf("%q", want) || sent[0] != line {
			t.Errorf("%q became %q, want %q", line, h["Cookie"], want)
		}
	})
}
