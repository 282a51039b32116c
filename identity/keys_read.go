package identity

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	jose "github.com/go-jose/go-jose/v4"

	"github.com/example-org/authgate/text"
)

// Why a key of a set is skipped: reasons for Config.KeySkipped.
const (
	keyMalformed      = "malformed" // not a key, a missing or wrong member, or an unknown type
	keyNotForSigning  = "use"       // for encryption, or for another operation than verifying
	keyUnsupportedAlg = "alg"       // for an algorithm that authgate does not accept
	keySymmetric      = "symmetric" // shared: every verifier could sign
	keyPrivate        = "private"   // published with its private part: any client can sign with it
	keyWeak           = "weak"      // RSA below 2048 bits, or with an unusable exponent
	keyTooMany        = "too_many"
)

// SkippedKeyReasons are all reasons for Config.KeySkipped.
func SkippedKeyReasons() []string {
	return []string{keyMalformed, keyNotForSigning, keyUnsupportedAlg, keySymmetric, keyPrivate, keyWeak, keyTooMany}
}

const (
	// maxKeysPerSet bounds the keys that are tried for a token that names none.
	maxKeysPerSet = 64

	minRSABits = 2048 // bits: RFC 7518, 3.3
)

// skippedKey is a published key that is unusable.
type skippedKey struct{ keyID, reason, message string }

// parseKeySet gives the public keys of a JSON Web Key Set that can verify, and those that it
// skips: an unusable key does not affect the others (RFC 7517, section 5).
func parseKeySet(document []byte) (keys []jose.JSONWebKey, skipped []skippedKey, err error) {
	var set map[string]json.RawMessage
	var list []json.RawMessage
	if json.Unmarshal(document, &set) != nil || json.Unmarshal(set["keys"], &list) != nil || list == nil {
		return nil, nil, errors.New("its keys (jwks_uri) are not a JSON Web Key Set (RFC 7517, section 5)" +
			describeBody(document))
	}
	for _, raw := range list {
		key, skip := parseKey(raw)
		switch {
		case skip != nil:
			skipped = append(skipped, *skip)
		case len(keys) == maxKeysPerSet:
			tooMany := fmt.Sprintf("the issuer publishes more than %d keys", maxKeysPerSet)
			skipped = append(skipped, skippedKey{key.KeyID, keyTooMany, tooMany})
		default:
			keys = append(keys, key)
		}
	}
	return keys, skipped, nil
}

// parseKey reads one key, or says why it is unusable. The words are authgate's own: a
// private key must not reach a log.
func parseKey(raw json.RawMessage) (key jose.JSONWebKey, skip *skippedKey) {
	var jwk struct {
		Name       string          `json:"kid"`
		Type       string          `json:"kty"`
		Use        string          `json:"use"`
		Operations []string        `json:"key_ops"`
		Algorithm  string          `json:"alg"`
		Private    json.RawMessage `json:"d"`
	}
	fail := func(reason, message string) (jose.JSONWebKey, *skippedKey) {
		return jose.JSONWebKey{}, &skippedKey{jwk.Name, reason, message}
	}
	if !bytes.HasPrefix(bytes.TrimSpace(raw), []byte("{")) || json.Unmarshal(raw, &jwk) != nil {
		return fail(keyMalformed, "it is not a JSON object with members of the right types")
	}
	switch {
	case jwk.Type == "oct":
		return fail(keySymmetric, "it is symmetric: every verifier could sign with it")
	case jwk.Private != nil:
		return fail(keyPrivate, "its private part is published: any client can sign with it")
	case jwk.Use != "" && jwk.Use != "sig", jwk.Operations != nil && !slices.Contains(jwk.Operations, "verify"):
		return fail(keyNotForSigning, "it is not for signatures")
	case jwk.Algorithm != "" && !slices.Contains(asymmetricAlgorithms, jwk.Algorithm):
		return fail(keyUnsupportedAlg, "it is for the algorithm "+text.Quote(jwk.Algorithm))
	}
	if err := json.Unmarshal(raw, &key); err != nil || !key.Valid() || !key.IsPublic() {
		return fail(keyMalformed, "it is not a key of the type "+text.Quote(jwk.Type)+": a member is missing, or wrong")
	}
	switch public := key.Key.(type) {
	case *rsa.PublicKey:
		if public.N.BitLen() < minRSABits || public.E < 3 || public.E%2 == 0 {
			return fail(keyWeak, fmt.Sprintf("it is an RSA key of %d bits with the exponent %d, at least %d bits are needed "+
				"(RFC 7518, 3.3)", public.N.BitLen(), public.E, minRSABits))
		}
	case *ecdsa.PublicKey, ed25519.PublicKey:
	default:
		return fail(keyMalformed, "its type is not supported")
	}
	return key, nil
}

// describeSkipped is for the log, in the order of the set.
func describeSkipped(skipped []skippedKey) string {
	const limit = 5
	var parts []string
	for _, key := range skipped {
		parts = append(parts, text.Quote(key.keyID)+": "+key.message)
	}
	return text.JoinFew(parts, "; ", limit)
}
