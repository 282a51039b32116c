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
	var b bearerDenylist
	b.revoke(emailDenyKey("alice@example.com"), at)
	old := &identity.Token{Principal: identity.Principal{Email: "alice@example.com"}, IssuedAt: at.Add(-time.Minute)}
	for n := range maxDenyKeys + 1 {
		at = at.Add(time.Millisecond)
		b.revoke(emailDenyKey(fmt.Sprint(n, "@example.com")), at)
	}
	if n := b.revoked.count.Load(); n > maxDenyKeys {
		t.Errorf("%d are remembered", n)
	}
	if err := b.check(old); !errors.Is(err, ErrTokenRevoked) {
		t.Error(err)
	}
	old.IssuedAt = at.Add(time.Second)
	if err := b.check(old); err != nil {
		t.Error(err)
	}
}
