//go:build linux

package redisstore_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/example-org/authgate/identity"
	"github.com/example-org/authgate/session"
	"github.com/example-org/authgate/session/redisstore"
	"github.com/example-org/authgate/session/sessiontest"
)

func refuses(at *redisstore.Store, token *identity.Token, want error) func() error {
	return func() error {
		if err := at.CheckBearer(token); !errors.Is(err, want) || want == nil && err != nil {
			return fmt.Errorf("got %w, want %w", err, want)
		}
		return nil
	}
}

func TestEveryReplicaRefusesTokensThatOneDenied(t *testing.T) {
	t.Parallel()
	server := startRedis(t)
	r := newReplicas(t, server.url())
	here, there := r.add(), r.add()
	before := func(who string) *identity.Token {
		token := sessiontest.BearerToken(who, "", r.clock.now().Add(-time.Minute))
		token.Issuer = "https://dex.example.com"
		return token
	}
	alice, bob := before("alice"), before("bob")
	until(t, 2*time.Second, "accepted", refuses(there, alice, nil))
	if _, err := here.Revoke(t.Context(), session.Filter{Email: "alice@example.com"}); err != nil {
		t.Fatal(err)
	}
	if _, err := here.Revoke(t.Context(), session.Filter{Issuer: "https://dex.example.com", Subject: "bob"}); err != nil {
		t.Fatal(err)
	}
	shown := before("carol")
	shown.Digest = sha256.Sum256([]byte("carol's"))
	if err := here.DenyBearer(t.Context(), shown.Digest, r.clock.now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	all := func(what string, at *redisstore.Store) {
		t.Helper()
		until(t, 2*time.Second, what+": alice", refuses(at, alice, session.ErrTokenRevoked))
		until(t, 2*time.Second, what+": bob", refuses(at, bob, session.ErrTokenRevoked))
		until(t, 2*time.Second, what+": a token that was shown", refuses(at, shown, session.ErrLoginToken))
		later := before("alice")
		later.IssuedAt = r.clock.now().Add(2 * time.Second)
		until(t, 2*time.Second, what+": a new token", refuses(at, later, nil))
	}
	all("here", here)
	all("there", there)
	all("begun later", r.add())
	if err := server.client.Del(t.Context(), "authgate:{feed}").Err(); err != nil { // changes are missed
		t.Fatal(err)
	}
	all("after a gap", there)

	unread := r.open(r.options()) // it has not heard of anything yet
	if err := unread.CheckBearer(before("dave")); !errors.Is(err, session.ErrStoreDown) {
		t.Errorf("a token was accepted before the store was read: %v", err)
	}
	if _, err := unread.Revoke(t.Context(), session.Filter{All: true}); err != nil { // as the command does
		t.Fatal(err)
	}
	until(t, 2*time.Second, "everyone", refuses(there, before("dave"), session.ErrTokenRevoked))
}

func TestATokenIsNotShownWhereItCannotBeRemembered(t *testing.T) {
	t.Parallel()
	server := startRedis(t)
	r := newReplicas(t, server.url())
	at := r.add()
	known, other := sha256.Sum256([]byte("known")), sha256.Sum256([]byte("other"))
	if err := at.DenyBearer(t.Context(), known, r.clock.now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	server.kill()
	if err := at.DenyBearer(t.Context(), other, r.clock.now().Add(time.Hour)); !errors.Is(err, session.ErrStoreDown) {
		t.Errorf("%v", err)
	}
	if err := at.DenyBearer(t.Context(), known, r.clock.now().Add(time.Hour).Truncate(time.Minute)); err != nil {
		t.Errorf("what is remembered already: %v", err)
	}
	token := sessiontest.BearerToken("alice", "", r.clock.now())
	token.Digest = known
	if err := at.CheckBearer(token); !errors.Is(err, session.ErrLoginToken) {
		t.Error(err)
	}
}
