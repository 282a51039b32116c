package clilogin_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/example-org/authgate/identity/clilogin"
)

func TestATokenIsKeptAndTheIssuerIsNotAskedAgain(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	first := d.mustToken()
	d.issuer.bend(func() {
		d.issuer.instead["/.well-known/openid-configuration"] = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }
	})
	d.pass(58 * time.Minute)
	if again := d.mustToken(); again != first || first.Raw == "" || !first.Expiry.Equal(d.now().Add(2*time.Minute)) {
		t.Errorf("another token, of %s, after one of %s", again.Expiry, first.Expiry)
	}
	d.asked(1, 0)
}

func TestATokenWithLessThanAMinuteIsRefreshedAndTheNextRefreshTokenIsKept(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	seen := map[string]bool{d.mustToken().Raw: true}
	for range 3 { // the fake issuer takes no refresh token twice
		d.pass(59*time.Minute + time.Second)
		seen[d.mustToken().Raw] = true
	}
	if len(seen) != 4 {
		t.Errorf("%d different tokens, want 4", len(seen))
	}
	d.asked(1, 3)
}

func TestWithoutANewRefreshTokenTheOldOneStaysGood(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.mustToken()
	d.issuer.bend(func() {
		kept := d.issuer.refresh
		d.issuer.tokens = func(m map[string]any) {
			delete(m, "refresh_token")
			for _, nonce := range kept {
				m["nonce"] = nonce
			}
		}
	})
	before := d.file()
	d.pass(2 * time.Hour)
	d.mustToken()
	if old, now := refreshTokenIn(t, before), refreshTokenIn(t, d.file()); old == "" || old != now {
		t.Errorf("the refresh token has changed")
	}
}

func TestARefusedRefreshTokenBeginsANewLogin(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.mustToken()
	d.issuer.bend(func() { clear(d.issuer.refresh) })
	d.pass(2 * time.Hour)
	d.mustToken()
	d.asked(2, 1)
	if !strings.Contains(d.heard(), "the cached login has expired (the issuer answered 400 invalid_request); logging in again") {
		t.Errorf("said is:\n%s", d.heard())
	}
}

func TestAFailingIssuerRequiresNoNewLogin(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		answer http.HandlerFunc
		want   string
	}{
		{"500, as Dex says when GitHub fails", func(w http.ResponseWriter, _ *http.Request) {
			answer(w, 500, map[string]string{"error": "invalid_request", "error_description": "s3cret"})
		}, "or you may no longer log in; try again, or log in again with --force"},
		{"a client that is not public", func(w http.ResponseWriter, _ *http.Request) {
			answer(w, 401, map[string]string{"error": "invalid_client", "error_description": "s3cret"})
		}, "check the client id and its secret"},
		{"not JSON", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>s3cret")) }, "could not be read"},
		{"a redirect", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://evil.example.com/?s3cret", http.StatusTemporaryRedirect)
		}, "it redirects to https://evil.example.com/, which is not followed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t)
			d.mustToken()
			kept := d.file()
			d.issuer.bend(func() { d.issuer.instead["/token"] = c.answer })
			d.pass(2 * time.Hour)
			_, err := d.token()
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("the error is %v, want %q in it", err, c.want)
			}
			if d.file() != kept {
				t.Error("what was kept has changed")
			}
			d.asked(1, 0)
		})
	}
}

func TestTheNextRefreshTokenIsKeptWhenTheIDTokenCannotBeVerified(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.mustToken()
	d.pass(2 * time.Hour)
	d.issuer.bend(func() { d.issuer.claims = func(m map[string]any) { m["aud"] = "another" } })
	if _, err := d.token(); err == nil {
		t.Fatal("a token for another client is given out")
	}
	d.issuer.bend(func() { d.issuer.claims = nil })
	d.mustToken()
	d.asked(1, 2)
}

func TestARefreshedTokenOfAnotherUserIsRefused(t *testing.T) {
	t.Parallel()
	for claim, value := range map[string]any{"sub": "mallory", "nonce": "another", "aud": []string{clientID, "more"}} {
		d := newDesk(t)
		d.mustToken()
		d.pass(2 * time.Hour)
		d.issuer.bend(func() { d.issuer.claims = func(m map[string]any) { m[claim], m["azp"] = value, clientID } })
		if _, err := d.token(); err == nil || !strings.Contains(err.Error(), "its user or client differs") {
			t.Errorf("%s: the error is %v", claim, err)
		}
	}
}

func TestManyAtOnceLogInOnceAndRefreshOnce(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	all := func() {
		var wg sync.WaitGroup
		tokens := make([]string, 8)
		for i := range tokens {
			wg.Go(func() {
				c, err := clilogin.New(d.cfg)
				if err != nil {
					t.Error(err)
					return
				}
				token, err := c.Token(t.Context())
				if err != nil {
					t.Error(err)
				}
				tokens[i] = token.Raw
			})
		}
		wg.Wait()
		for _, token := range tokens {
			if token == "" || token != tokens[0] {
				t.Error("they have different tokens")
			}
		}
	}
	all()
	d.asked(1, 0)
	d.pass(2 * time.Hour)
	all()
	d.asked(1, 1)
}

func TestWaitingForAnotherLoginIsReportedAndCanBeCancelled(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	inside := make(chan struct{})
	held := d.cfg
	held.OpenURL = func(string) error { close(inside); return nil } // and no one answers
	holder, err := clilogin.New(held)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	holding, release := context.WithCancel(t.Context())
	defer release()
	wg.Go(func() { _, _ = holder.Token(holding) })
	<-inside

	patience := errors.New("no patience")
	waiting := d.cfg
	waiting.Printf = func(format string, args ...any) {
		d.say(format, args...)
		cancel(patience)
	}
	c, err := clilogin.New(waiting)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Token(ctx); !errors.Is(err, patience) {
		t.Errorf("the error is %v", err)
	}
	if !strings.Contains(d.heard(), "another `authgate token` is logging in; waiting for it") {
		t.Errorf("said is:\n%s", d.heard())
	}
}

func TestTokensAreInFilesOfTheirOwnForOnePersonAlone(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	if err := os.MkdirAll(d.cfg.Dir, 0o755); err != nil { // a user made it by hand
		t.Fatal(err)
	}
	d.mustToken()
	d.mustToken(func(c *clilogin.Config) { c.Scopes = []string{"email"} })
	d.asked(2, 0)
	d.mustToken(func(c *clilogin.Config) { c.Scopes = []string{"offline_access", "openid", "groups", "groups"} }) // the same as at first
	d.asked(2, 0)
	d.mustToken(func(c *clilogin.Config) { c.ClientID = "another" }, func(*clilogin.Config) {
		d.issuer.bend(func() { d.issuer.claims = func(m map[string]any) { m["aud"] = "another" } })
	})
	d.asked(3, 0)
	if runtime.GOOS == "windows" {
		return
	}
	if mode := must(os.Stat(d.cfg.Dir)).Mode(); mode.Perm() != 0o700 {
		t.Errorf("the folder has mode %v", mode)
	}
	for _, name := range d.files() {
		if mode := must(os.Stat(name)).Mode(); mode.Perm() != 0o600 {
			t.Errorf("%s has mode %v", name, mode)
		}
	}
}

func TestAChangedCacheFileIsNotUsed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		spoil func(name string) error
		says  string
	}{
		{"open to others", func(name string) error { return os.Chmod(name, 0o644) }, "is open to others"},
		{"cut off", func(name string) error { return os.Truncate(name, 20) }, "was not written by authgate"},
		{"empty", func(name string) error { return os.Truncate(name, 0) }, "was not written by authgate"},
		{"of another client", func(name string) error {
			return os.WriteFile(name, []byte(strings.Replace(string(must(os.ReadFile(name))), clientID, "another", 1)), 0o600)
		}, "belongs to another issuer or client"},
		{"more than a token", func(name string) error {
			return os.WriteFile(name, []byte(strings.Replace(string(must(os.ReadFile(name))), `"id_token":"`, `"id_token":"a\r\nHost: b`, 1)), 0o600)
		}, "does not hold an ID token"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if runtime.GOOS == "windows" && c.name == "open to others" {
				t.Skip("modes are not Windows'")
			}
			d := newDesk(t)
			d.mustToken()
			if err := c.spoil(d.only()); err != nil {
				t.Fatal(err)
			}
			d.mustToken()
			d.asked(2, 0)
			if !strings.Contains(d.heard(), "not using the cached token: ") || !strings.Contains(d.heard(), c.says) {
				t.Errorf("said is:\n%s", d.heard())
			}
			d.mustToken() // it is made good
			d.asked(2, 0)
		})
	}
}

func TestForceLogsInThoughATokenIsKept(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	first := d.mustToken()
	if again := d.mustToken(func(c *clilogin.Config) { c.Force = true }); again == first {
		t.Error("the same token")
	}
	d.asked(2, 0)
}

func TestForgettingRemovesEveryTokenOfTheClientAndNoOther(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	c := must(clilogin.New(d.cfg))
	if n, err := c.Logout(t.Context()); n != 0 || err != nil {
		t.Errorf("nothing was kept: %d, %v", n, err)
	}
	if _, err := os.Stat(d.cfg.Dir); err == nil {
		t.Error("forgetting nothing made a folder")
	}
	d.mustToken()
	d.mustToken(func(c *clilogin.Config) { c.Scopes = nil })
	d.issuer.bend(func() { d.issuer.claims = func(m map[string]any) { m["aud"] = "another" } })
	d.mustToken(func(c *clilogin.Config) { c.ClientID = "another" })
	if n, err := c.Logout(t.Context()); n != 2 || err != nil {
		t.Errorf("%d removed, %v; want 2", n, err)
	}
	if left := d.files(); len(left) != 1 {
		t.Errorf("left are %q", left)
	}
}

func TestATokenIsGivenEvenIfItCannotBeKept(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	open := d.cfg.OpenURL
	d.cfg.OpenURL = func(there string) error {
		if err := os.RemoveAll(d.cfg.Dir); err != nil {
			return err
		}
		return open(there)
	}
	d.mustToken()
	if !strings.Contains(d.heard(), "the token was not cached: ") {
		t.Errorf("said is:\n%s", d.heard())
	}
}

// files are those that hold tokens.
func (d *desk) files() []string {
	d.t.Helper()
	return must(filepath.Glob(filepath.Join(d.cfg.Dir, "*.json*")))
}

func (d *desk) only() string {
	d.t.Helper()
	all := d.files()
	if len(all) != 1 {
		d.t.Fatalf("kept are %q, want one file", all)
	}
	return all[0]
}

func (d *desk) file() string {
	d.t.Helper()
	return string(must(os.ReadFile(d.only())))
}

func refreshTokenIn(t *testing.T, file string) string {
	t.Helper()
	_, rest, _ := strings.Cut(file, `"refresh_token":"`)
	token, _, _ := strings.Cut(rest, `"`)
	return token
}
