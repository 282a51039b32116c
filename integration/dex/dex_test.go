package dex_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/example-org/authgate/integration/dex"
	"github.com/example-org/authgate/integration/fakegithub"
	"github.com/example-org/authgate/integration/program"
	"github.com/example-org/authgate/integration/visitor"
)

// binary is the Dex that TestMain built.
var binary string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "dex-test-")
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(dir) // a temporary folder
		binary = filepath.Join(dir, "dex")
		if err := dex.Build(context.Background(), binary, os.Stderr); err != nil {
			panic(err)
		}
		return m.Run()
	}())
}

// set is a Dex, its GitHub, and a relying party that knows nothing but oauth2.
type set struct {
	github *fakegithub.Server
	dex    *program.Process
	issuer string
	rp     oauth2.Config
}

const rpCallback = "http://rp.localhost/callback"

func newSet(t *testing.T) set {
	t.Helper()
	port, err := program.ReservePort(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := port.Release(); err != nil {
			t.Error(err)
		}
	})
	listen := "127.0.0.1:" + strconv.Itoa(port.Number)
	issuer := "http://" + listen + "/api/dex"
	app := fakegithub.App{ClientID: "dex", ClientSecret: "at-github", Callback: dex.Callback(issuer)}
	gh, err := fakegithub.Start(t.Context(), slog.New(slog.DiscardHandler), app,
		fakegithub.Account{
			ID: 1, Login: "alice", Name: "Alice", Email: "alice@example.com", Orgs: []string{"example-org"},
			Teams: []fakegithub.Team{{Org: "example-org", Name: "Argo Admins", Slug: "argo-admins"}},
		},
		fakegithub.Account{ID: 2, Login: "carol", Email: "carol@example.com", Orgs: []string{"example-org"}},
	)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := gh.Close(); err != nil {
			t.Error(err)
		}
	})
	rp := oauth2.Config{
		ClientID: "authgate", ClientSecret: "s3cret", RedirectURL: rpCallback,
		Endpoint: oauth2.Endpoint{AuthURL: issuer + "/auth", TokenURL: issuer + "/token"},
		Scopes:   []string{"openid", "profile", "email", "groups", "offline_access"},
	}
	p, err := dex.Start(t.Context(), dex.Options{
		Binary: binary, Dir: t.TempDir(), Issuer: issuer, Listen: listen,
		GitHub: dex.GitHub{
			Host: gh.Host(), CA: gh.CA(), Org: "example-org",
			ClientID: app.ClientID, ClientSecret: app.ClientSecret,
		},
		Client: dex.Client{ID: rp.ClientID, Secret: rp.ClientSecret, RedirectURIs: []string{rpCallback}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Stop(); err != nil {
			t.Error(err)
		}
	})
	return set{gh, p, issuer, rp}
}

// visit walks a user towards the relying party's callback, where no one
// listens, and returns where the way ended.
func (s set) visit(t *testing.T, login string) visitor.Answer {
	t.Helper()
	v, err := visitor.New(login, s.github.URL(), s.github.CA())
	if err != nil {
		t.Fatal(err)
	}
	v.StopAt(rpCallback)
	a, err := v.Open(t.Context(), s.rp.AuthCodeURL("state"))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// login is a visit that gets there; it returns the code that the address holds.
func (s set) login(t *testing.T, login string) (code string) {
	t.Helper()
	a := s.visit(t, login)
	code = a.URL.Query().Get("code")
	if code == "" || a.URL.Query().Get("state") != "state" {
		t.Fatalf("login of %s ended at %s with status %d: %s", login, a.URL, a.Status, a.Body)
	}
	return code
}

type claims struct {
	Email         string   `json:"email"`
	EmailVerified bool     `json:"email_verified"`
	Login         string   `json:"preferred_username"`
	Groups        []string `json:"groups"`
}

func (s set) verify(t *testing.T, token *oauth2.Token) claims {
	t.Helper()
	provider, err := oidc.NewProvider(t.Context(), s.issuer)
	if err != nil {
		t.Fatal(err)
	}
	raw, _ := token.Extra("id_token").(string)
	id, err := provider.Verifier(&oidc.Config{ClientID: s.rp.ClientID}).Verify(t.Context(), raw)
	if err != nil {
		t.Fatal(err)
	}
	var c claims
	if err := id.Claims(&c); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestTeamsBecomeGroups(t *testing.T) {
	t.Parallel()
	s := newSet(t)

	token, err := s.rp.Exchange(t.Context(), s.login(t, "alice"))
	if err != nil {
		t.Fatal(err)
	}
	c := s.verify(t, token)
	if c.Email != "alice@example.com" || !c.EmailVerified || c.Login != "alice" {
		t.Errorf("claims are %+v", c)
	}
	if want := []string{"example-org:argo-admins"}; !slices.Equal(c.Groups, want) {
		t.Errorf("groups are %q, want %q", c.Groups, want)
	}

	token, err = s.rp.Exchange(t.Context(), s.login(t, "carol"))
	if err != nil {
		t.Fatal(err)
	}
	if c := s.verify(t, token); c.Groups != nil {
		t.Errorf("carol is in no team but has groups %q", c.Groups)
	}
}

func TestTeamsBeyondTheFirstPageBecomeGroups(t *testing.T) {
	t.Parallel()
	s := newSet(t)
	for i := range 64 {
		slug := "team-" + strconv.Itoa(i)
		if err := s.github.Join("carol", fakegithub.Team{Org: "example-org", Name: slug, Slug: slug}); err != nil {
			t.Fatal(err)
		}
	}

	token, err := s.rp.Exchange(t.Context(), s.login(t, "carol"))
	if err != nil {
		t.Fatal(err)
	}
	if c := s.verify(t, token); len(c.Groups) != 64 {
		t.Errorf("carol has %d groups, want 64: %q", len(c.Groups), c.Groups)
	}
}

func TestRefreshSeesThatAUserLeftATeam(t *testing.T) {
	t.Parallel()
	s := newSet(t)
	token, err := s.rp.Exchange(t.Context(), s.login(t, "alice"))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.github.Leave("alice", "example-org", "argo-admins"); err != nil {
		t.Fatal(err)
	}

	again, err := s.rp.TokenSource(t.Context(), &oauth2.Token{RefreshToken: token.RefreshToken}).Token()
	if err != nil {
		t.Fatalf("refreshing (needs SSL_CERT_FILE in Dex): %v", err)
	}
	if c := s.verify(t, again); len(c.Groups) != 0 {
		t.Errorf("groups are still %q", c.Groups)
	}
}

func TestWhatGitHubRefusesNeverReachesTheRelyingParty(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		login string
		spoil func(*fakegithub.Server) error
	}{
		{"cancel was pressed", "", nil},
		{"not in the organisation", "carol", func(gh *fakegithub.Server) error { return gh.LeaveOrg("carol", "example-org") }},
		{"rate limit", "alice", func(gh *fakegithub.Server) error { gh.SetAPIState(fakegithub.RateLimited); return nil }},
		{"outage", "alice", func(gh *fakegithub.Server) error { gh.SetAPIState(fakegithub.Outage); return nil }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newSet(t)
			if c.spoil != nil {
				if err := c.spoil(s.github); err != nil {
					t.Fatal(err)
				}
			}
			a := s.visit(t, c.login)
			if a.Status != http.StatusInternalServerError || !a.Via("/api/dex/callback") {
				t.Errorf("ended at %s with %d, want Dex's own 500", a.URL, a.Status)
			}
		})
	}
}

func TestRevokedGrantFailsTheRefresh(t *testing.T) {
	t.Parallel()
	s := newSet(t)
	token, err := s.rp.Exchange(t.Context(), s.login(t, "alice"))
	if err != nil {
		t.Fatal(err)
	}
	s.github.Revoke("alice")

	_, err = s.rp.TokenSource(t.Context(), &oauth2.Token{RefreshToken: token.RefreshToken}).Token()
	var refused *oauth2.RetrieveError
	if !errors.As(err, &refused) || refused.Response.StatusCode != http.StatusInternalServerError {
		t.Errorf("got %v, want Dex's 500", err)
	}
}
