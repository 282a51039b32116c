package identity

import (
	"context"
	"errors"
	"fmt"

	jose "github.com/go-jose/go-jose/v4"

	"github.com/example-org/authgate/text"
)

// keyLookup finds the key of one token, and the key set with it.
type keyLookup struct {
	issuer *issuerKeySet
	keys   *verificationKeys
	from   tokenOrigin
}

var errNoKey = errors.New("of none of the keys")

// skippedKeyError says that the key that a token names is published, but unusable.
type skippedKeyError struct{ keyID, message string }

func (e *skippedKeyError) Error() string {
	return fmt.Sprintf("the key %s cannot be used: %s", text.Quote(e.keyID), e.message)
}

// VerifySignature implements [oidc.KeySet].
func (l *keyLookup) VerifySignature(ctx context.Context, raw string) ([]byte, error) {
	var algorithms []jose.SignatureAlgorithm
	for _, alg := range l.keys.provider.algorithms {
		algorithms = append(algorithms, jose.SignatureAlgorithm(alg))
	}
	token, err := jose.ParseSignedCompact(raw, algorithms)
	if err != nil {
		return nil, errors.New("not a JWS")
	}
	payload, known := l.keys.verify(token)
	if payload != nil {
		return payload, nil
	}
	v := l.issuer.refetch(ctx, l.from)
	if v.keys != nil && v.keys != l.keys {
		l.keys = v.keys
		if payload, known = l.keys.verify(token); payload != nil {
			return payload, nil
		}
	}
	if !known && (v.failure != nil || ctx.Err() != nil || !l.issuer.attemptedRecently(v)) {
		return nil, l.issuer.unreachable(ctx, v) // the key may be a new one
	}
	name := token.Signatures[0].Header.KeyID
	for _, one := range l.keys.skipped {
		if !known && name != "" && one.keyID == name {
			return nil, &skippedKeyError{name, one.message}
		}
	}
	return nil, errNoKey
}

// verify gives the signed payload, and whether the key that the token names is known.
func (s *verificationKeys) verify(token *jose.JSONWebSignature) (payload []byte, known bool) {
	name := token.Signatures[0].Header.KeyID
	for i := range s.keys {
		key := &s.keys[i]
		if name != "" && key.KeyID != name {
			continue
		}
		known = true
		if key.Algorithm != "" && key.Algorithm != token.Signatures[0].Header.Algorithm {
			continue
		}
		if payload, err := token.Verify(key); err == nil && payload != nil {
			return payload, true
		}
	}
	return nil, known
}
