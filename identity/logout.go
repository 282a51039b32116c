package identity

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/example-org/authgate/text"
)

// Logout says what has ended (OpenID Connect Back-Channel Logout 1.0, 2.4): one of the
// issuer's sessions, or all of a subject's.
type Logout struct {
	Issuer, Subject, SessionID string
}

// SignOutURL is where the issuer ends its own session; empty if it has no such address
// (end_session_endpoint, OpenID Connect RP-Initiated Logout 1.0). It has no id_token_hint,
// because a token in a URL reaches histories and logs. The issuer may ask the user to
// confirm because of that.
func (rp *RelyingParty) SignOutURL(_ TokenSet, redirectURI string) string {
	p, err := rp.provider()
	if err != nil || p.metadata.EndSession == "" {
		return ""
	}
	endSession, err := ParseHTTPURL(p.metadata.EndSession)
	if err != nil {
		return ""
	}
	q := endSession.Query()
	q.Set("client_id", rp.clientID())
	q.Set("post_logout_redirect_uri", redirectURI)
	endSession.RawQuery = q.Encode()
	return endSession.String()
}

// logoutEvent is the member of events that makes a JWT a logout token (2.4).
const logoutEvent = "http://schemas.openid.net/event/backchannel-logout"

// maxLogoutToken is far more than a logout token needs: it has no groups.
const maxLogoutToken = 8 << 10

// ReadLogout verifies a logout token (2.6). The error says what is wrong with it, and quotes
// nothing secret. Each token counts once.
func (rp *RelyingParty) ReadLogout(ctx context.Context, raw string) (Logout, error) {
	if err := rp.Ready(); err != nil {
		return Logout{}, err
	}
	if len(raw) > maxLogoutToken {
		return Logout{}, refused("it is larger than a logout token can be")
	}
	if typ := strings.ToLower(header(raw).Typ); typ != "" && typ != "jwt" && typ != "logout+jwt" {
		return Logout{}, refused("its typ is %s, not logout+jwt", text.Quote(typ))
	}
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	o, err := rp.keySet.verifySignature(ctx, raw, fromClient)
	if err != nil {
		return Logout{}, err
	}
	return rp.checkLogout(ctx, o.claims)
}

func (rp *RelyingParty) checkLogout(ctx context.Context, c claims) (Logout, error) {
	texts := map[string]string{}
	for _, name := range []string{"iss", "sub", "sid", "jti"} {
		text, err := c.stringClaim(name)
		if err != nil {
			return Logout{}, err
		}
		texts[name] = text
	}
	if texts["iss"] != rp.cfg.URL {
		return Logout{}, refused("it is of the issuer %s, the configuration says %s", text.Quote(texts["iss"]), rp.cfg.URL)
	}
	if err := rp.checkAudience(c); err != nil {
		return Logout{}, err
	}
	if err := rp.checkTimes(c); err != nil {
		return Logout{}, err
	}
	var events map[string]map[string]json.RawMessage // each event is an object (RFC 8417, 2.2)
	if c.absent("events") || json.Unmarshal(c["events"], &events) != nil || events[logoutEvent] == nil {
		return Logout{}, refused("it is not a logout token: its events lack %s", logoutEvent)
	}
	switch {
	case !c.absent("nonce"):
		return Logout{}, refused("it has a nonce, which only ID tokens have")
	case texts["sub"] == "" && texts["sid"] == "":
		return Logout{}, refused("it names neither a subject nor a session (no sub, no sid)")
	case texts["jti"] == "":
		return Logout{}, refused("it has no jti")
	}
	expiry, _, err := c.numericDate("exp")
	if err != nil {
		return Logout{}, err
	}
	now := rp.cfg.Now() // as the creation time as well: no token is refused because others were forgotten
	if first, _ := rp.logouts.Use(ctx, texts["jti"], now, expiry.Add(rp.cfg.ClockSkew).Sub(now)); !first {
		return Logout{}, refused("it was used before (jti)")
	}
	return Logout{Issuer: texts["iss"], Subject: texts["sub"], SessionID: texts["sid"]}, nil
}

// maxLogouts bounds the logout tokens that are remembered. Only genuine ones are; a replay
// of one that is forgotten early ends, at worst, a session that had ended already.
const maxLogouts = 10_000
