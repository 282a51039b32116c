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
func (rp *RelyingParty) Look(ctx context.Context) { rp.look(ctx) }

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
	return rp.checkLogout(c)
}
