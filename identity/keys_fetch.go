package identity

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	jose "github.com/go-jose/go-jose/v4"

	"github.com/example-org/authgate/text"
)

// discoveryMaxAge is the maximum age of an additional issuer's discovery document.
const discoveryMaxAge = 15 * time.Minute

// verificationKeys is what verifies an issuer's tokens. It stays the same pointer as long as
// the issuer publishes the same keys.
type verificationKeys struct {
	provider *provider
	document []byte
	keys     []jose.JSONWebKey
	skipped  []skippedKey
}

func (s *verificationKeys) equal(t *verificationKeys) bool {
	return s.provider.equal(t.provider) && bytes.Equal(s.document, t.document)
}

func (k *issuerKeySet) fetch(ctx context.Context) (*verificationKeys, error) {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	p, err := k.loadDiscovery(ctx)
	if err != nil {
		return nil, err
	}
	document, err := k.getJWKS(ctx, p.metadata.JWKSURI)
	if err == nil {
		s := &verificationKeys{provider: p, document: document}
		if s.keys, s.skipped, err = parseKeySet(document); err == nil {
			return s, nil
		}
	}
	k.discovery = nil // the discovery document may have changed
	return nil, err
}

// loadDiscovery gives the discovery document: the one of rp, or an additional issuer's,
// which needs no endpoints.
func (k *issuerKeySet) loadDiscovery(ctx context.Context) (*provider, error) {
	if k.discoveredCh != nil {
		return k.rp.provider()
	}
	now := k.rp.cfg.Now()
	if age := now.Sub(k.discoveryAt); k.discovery != nil && age >= 0 && age < discoveryMaxAge {
		return k.discovery, nil
	}
	if k.rp.configErr != nil {
		return nil, k.rp.configErr
	}
	ctx, prefix := withBodyPrefix(oidc.ClientContext(ctx, k.rp.client))
	document, err := oidc.NewProvider(ctx, k.rp.cfg.URL)
	if err != nil {
		if mismatch, ok := errors.AsType[*oidc.IssuerMismatchError](err); ok {
			return nil, fmt.Errorf("it calls itself %s: write the issuer of bearer exactly as it does, trailing slash included",
				text.Quote(mismatch.Discovered))
		}
		return nil, k.rp.discoveryError(ctx, prefix, err)
	}
	p := &provider{}
	if p.metadata, err = ReadMetadata(document); err != nil {
		return nil, err
	}
	if err := k.rp.checkEndpoint(p.metadata.JWKSURI); err != nil {
		return nil, fmt.Errorf("its jwks_uri %w", err)
	}
	if p.algorithms, err = supportedAlgorithms(p.metadata.Algorithms); err != nil {
		return nil, err
	}
	k.discovery, k.discoveryAt = p, now
	return p, nil
}

func (k *issuerKeySet) getJWKS(ctx context.Context, address string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, errors.New("its jwks_uri is not a URL")
	}
	req.Header.Set("Cache-Control", "no-cache")
	at := "GET " + text.RedactURL(req.URL)
	resp, err := k.rp.client.Do(req)
	if err != nil {
		if unreachable, ok := errors.AsType[*UnreachableError](err); ok {
			return nil, unreachable
		}
		return nil, &UnreachableError{Request: at, Reason: text.RedactError(err)}
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, &UnreachableError{Request: at, Reason: fmt.Sprintf("it answered %d", resp.StatusCode)}
	}
	body, err := io.ReadAll(resp.Body)
	if ended := ctx.Err(); err != nil && ended != nil {
		return nil, &UnreachableError{Request: at, Reason: text.RedactError(ended), cause: ended}
	}
	if err != nil {
		return nil, &UnreachableError{Request: at, Reason: "its answer was cut off, or is larger than 1 MiB"}
	}
	return body, nil
}
