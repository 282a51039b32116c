package session

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/example-org/authgate/identity"
)

func TestRevocationsThatAreForgottenRefuseRatherThanAccept(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	var b bearers
	b.revoke(ofEmail("alice@example.com"), at)
	old := &identity.Token{Principal: identity.Principal{Email: "alice@example.com"}, Issued: at.Add(-time.Minute)}
	for n := range mostTags + 1 {
		at = at.Add(time.Millisecond)
		b.revoke(ofEmail(fmt.Sprint(n, "@example.com")), at)
	}
	if n := b.revoked.count.Load(); n > mostTags {
		t.Errorf("%d are remembered", n)
	}
	if err := b.check(old); !errors.Is(err, ErrRevoked) {
		t.Error(err)
	}
	old.Issued = at.Add(time.Second)
	if err := b.check(old); err != nil {
		t.Error(err)
	}
}
