package identity_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/example-org/authgate/identity"
)

func TestSecretsAreNotPrinted(t *testing.T) {
	t.Parallel()
	const secret = "s3cr3t"
	for _, value := range []any{
		identity.Config{ClientSecret: secret},
		identity.Login{State: secret, Nonce: secret, Verifier: secret},
	} {
		var log bytes.Buffer
		slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "value", value)
		for _, shown := range []string{fmt.Sprint(value), fmt.Sprintf("%+v %#v %s", value, value, value), log.String()} {
			if strings.Contains(shown, secret) {
				t.Errorf("%T shows its secret: %s", value, shown)
			}
		}
	}
}
