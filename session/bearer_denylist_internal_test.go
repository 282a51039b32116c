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
	var b BearerDenylist
	b.Revoke(emailDenyKey("alice@example.com"), at)
	old := &identity.Token{Principal: identity.Principal{Email: "alice@example.com"}, IssuedAt: at.Add(-time.Minute)}
	for n := range MaxDenyKeys + 1 {
		at = at.Add(time.Millisecond)
		b.Revoke(emailDenyKey(fmt.Sprint(n, "@example.com")), at)
	}
	if n := b.revoked.count.Load(); n > MaxDenyKeys {
		t.Errorf("%d are remembered", n)
	}
	if err := b.Check(old); !errors.Is(err, ErrTokenRevoked) {
		t.Error(err)
	}
	old.IssuedAt = at.Add(time.Second)
	if err := b.Check(old); err != nil {
		t.Error(err)
	}
}
