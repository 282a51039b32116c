package identity

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
)

// NewOver is New over a transport of the test's, for issuers that are no server.
func NewOver(cfg Config, log *slog.Logger, base http.RoundTripper) *RelyingParty {
	return newRelyingParty(cfg, log, base)
}

// Look is one turn of Run.
func (rp *RelyingParty) Look(ctx context.Context) { rp.refreshDiscovery(ctx) }

// PrincipalOf reads claims that are taken for verified.
func (rp *RelyingParty) PrincipalOf(payload []byte) (Principal, error) {
	var c claims
	if err := json.Unmarshal(payload, &c); err != nil {
		return Principal{}, err
	}
	return rp.principal(c)
}

// LogoutOf reads claims that are taken for verified.
func (rp *RelyingParty) LogoutOf(payload []byte) (Logout, error) {
	var c claims
	if err := json.Unmarshal(payload, &c); err != nil {
		return Logout{}, err
	}
	return rp.checkLogout(context.Background(), c)
}

// NewBearersOver is NewBearers over a transport of the test's, for further issuers
// that are no server.
func NewBearersOver(own *RelyingParty, others []Bearer, log *slog.Logger, base http.RoundTripper) *Bearers {
	return newBearers(own, others, log, base)
}

// Fetch is one turn of Run for every issuer.
func (b *Bearers) Fetch(ctx context.Context) {
	for _, i := range b.issuers {
		i.keySet.refresh(ctx)
	}
}

// BearerOf reads claims that are taken for verified: what b accepts of them.
func (b *Bearers) BearerOf(issuer string, payload []byte) (Principal, error) {
	var c claims
	if err := json.Unmarshal(payload, &c); err != nil {
		return Principal{}, err
	}
	i := b.issuers[issuer]
	a, err := i.selectConfig(c, "")
	if err != nil {
		return Principal{}, err
	}
	if err := i.keySet.rp.checkTimes(c); err != nil {
		return Principal{}, err
	}
	if err := a.checkRequired(c); err != nil {
		return Principal{}, err
	}
	return a.principal(i.keySet.rp, c)
}

// Expand fills a template with claims.
func (t GroupTemplate) Expand(payload []byte) (string, error) {
	var c claims
	if err := json.Unmarshal(payload, &c); err != nil {
		return "", err
	}
	return t.expand(c)
}
