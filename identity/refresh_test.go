package identity_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/example-org/authgate/identity"
)

// granted is what a login gives, as it comes back from where it was kept.
func granted(t *testing.T, i *issuer, rp *identity.RelyingParty) identity.TokenSet {
	t.Helper()
	l, answer := i.halfLogin(t, rp)
	g, err := rp.Finish(t.Context(), l, answer)
	if err != nil {
		t.Fatal(err)
	}
	var kept identity.TokenSet
	if err := json.Unmarshal(must(json.Marshal(g)), &kept); err != nil {
		t.Fatal(err)
	}
	return kept
}

func TestARefreshReadsTheGroupsAgainAndBringsTheNextRefreshToken(t *testing.T) {
	t.Parallel()
	i := serve(t)
	rp := party(t, config(i.url))
	g := granted(t, i, rp)
	i.bend(func(i *issuer) { i.claims = func(c map[string]any) { c["groups"] = []string{"example-org:new"} } })
	next, err := rp.Refresh(t.Context(), g)
	if err != nil || len(next.Principal.Groups) != 1 || next.Principal.Groups[0] != "example-org:new" || next.RefreshToken == g.RefreshToken || next.RefreshToken == "" {
		t.Fatalf("%v, %v", next.Principal, err)
	}
	if _, err := rp.Refresh(t.Context(), next); err != nil {
		t.Errorf("the next refresh: %v", err)
	}
	if said := fmt.Sprintf("%v %+v %#v %s %v", next, next, next, next, next.LogValue()); strings.Contains(said, next.RefreshToken) {
		t.Errorf("a grant in a log says %s", said)
	}
}

func TestAnIssuerThatKeepsTheRefreshTokenIsUnderstood(t *testing.T) {
	t.Parallel()
	i := serve(t)
	rp := party(t, config(i.url))
	g := granted(t, i, rp)
	i.bend(func(i *issuer) { i.tokens = func(m map[string]any) { delete(m, "refresh_token") } })
	if next, err := rp.Refresh(t.Context(), g); err != nil || next.RefreshToken != g.RefreshToken {
		t.Errorf("%v", err)
	}
}

func TestASpentRefreshTokenEndsTheSessionAndATroubledIssuerDoesNot(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		status int
		body   string
		ends   bool
	}{
		"spent, as Dex says it":   {400, `{"error":"invalid_request","error_description":"claimed"}`, true},
		"spent, as others say it": {400, `{"error":"invalid_grant"}`, true},
		"secret replaced":         {401, `{"error":"invalid_client"}`, false},
		"secret replaced, by 400": {400, `{"error":"invalid_client"}`, false},
		"grant type turned off":   {400, `{"error":"unsupported_grant_type"}`, false},
		"last team lost":          {500, `{"error":"invalid_request"}`, false},
		"rate limited":            {429, `{"error":"slow_down"}`, false},
		"garbage":                 {200, `<html>`, false},
		"no ID token":             {200, `{"access_token":"a","token_type":"Bearer"}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := serve(t)
			rp := party(t, config(i.url))
			g := granted(t, i, rp)
			i.bend(func(i *issuer) {
				i.instead["/token"] = func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Content-Type", "application/json")
					w.WriteHeader(row.status)
					_, _ = w.Write([]byte(row.body))
				}
			})
			_, err := rp.Refresh(t.Context(), g)
			var refused *identity.RefreshRefusedError
			if err == nil || errors.As(err, &refused) != row.ends {
				t.Errorf("%T: %v", err, err)
			}
			if err != nil && strings.Contains(err.Error(), g.RefreshToken) {
				t.Errorf("the error holds the token: %v", err)
			}
		})
	}
}

// OpenID Connect Core 1.0, section 12.2.
func TestARefreshedTokenOfAnotherUserEndsTheSession(t *testing.T) {
	t.Parallel()
	for claim, value := range map[string]any{
		"iss": "https://other.example.com", "sub": "CgNib2I", "aud": []string{clientID, "argo-cd"}, "azp": clientID, "nonce": "another",
	} {
		t.Run(claim, func(t *testing.T) {
			t.Parallel()
			i := serve(t)
			rp := party(t, config(i.url))
			g := granted(t, i, rp)
			i.bend(func(i *issuer) { i.claims = func(c map[string]any) { c[claim] = value } })
			_, err := rp.Refresh(t.Context(), g)
			var impostor *identity.SubjectMismatchError
			if !errors.As(err, &impostor) {
				t.Errorf("%T: %v", err, err)
			}
		})
	}
}

func TestARefreshedTokenMayLackWhatItNeedNotRepeat(t *testing.T) {
	t.Parallel()
	i := serve(t)
	rp := party(t, config(i.url))
	g := granted(t, i, rp)
	i.bend(func(i *issuer) { i.claims = func(c map[string]any) { delete(c, "nonce") } })
	if _, err := rp.Refresh(t.Context(), g); err != nil {
		t.Error(err)
	}
}

func TestTheNextRefreshTokenIsKeptWhenTheIDTokenCannotBeVerified(t *testing.T) {
	t.Parallel()
	i := serve(t)
	rp := party(t, config(i.url))
	g := granted(t, i, rp)
	i.bend(func(i *issuer) { i.claims = func(c map[string]any) { c["exp"] = time.Now().Add(-time.Hour).Unix() } })
	_, err := rp.Refresh(t.Context(), g)
	var unverified *identity.UnverifiedError
	if !errors.As(err, &unverified) || unverified.Tokens.RefreshToken == g.RefreshToken || unverified.Tokens.Principal.Subject != g.Principal.Subject {
		t.Fatalf("%T: %v", err, err)
	}
	i.bend(func(i *issuer) { i.claims = nil })
	if _, err := rp.Refresh(t.Context(), unverified.Tokens); err != nil {
		t.Errorf("with the token that was kept: %v", err)
	}
}

const event = "http://schemas.openid.net/event/backchannel-logout"

// The cases of the OpenID certification plan for back-channel logout of relying
// parties, and of Back-Channel Logout 1.0, 2.6.
func TestOnlyAGenuineLogoutTokenLogsOut(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		bend func(map[string]any)
		want string // part of the error; empty: it counts
	}{
		"subject":             {func(map[string]any) {}, ""},
		"session":             {func(c map[string]any) { delete(c, "sub"); c["sid"] = "s1" }, ""},
		"no event":            {func(c map[string]any) { delete(c, "events") }, "events"},
		"other event":         {func(c map[string]any) { c["events"] = map[string]any{"urn:other": map[string]any{}} }, "events"},
		"event is no object":  {func(c map[string]any) { c["events"] = map[string]any{event: "yes"} }, "events"},
		"nonce":               {func(c map[string]any) { c["nonce"] = "n" }, "nonce"},
		"other aud":           {func(c map[string]any) { c["aud"] = "argo-cd" }, "client"},
		"other iss":           {func(c map[string]any) { c["iss"] = "https://other.example.com" }, "issuer"},
		"neither sub nor sid": {func(c map[string]any) { delete(c, "sub") }, "neither"},
		"expired":             {func(c map[string]any) { c["exp"] = time.Now().Add(-time.Hour).Unix() }, "expired"},
		"no exp":              {func(c map[string]any) { delete(c, "exp") }, "exp"},
		"no iat":              {func(c map[string]any) { delete(c, "iat") }, "iat"},
		"of tomorrow":         {func(c map[string]any) { c["iat"] = time.Now().Add(24 * time.Hour).Unix() }, "in the future"},
		"no jti":              {func(c map[string]any) { delete(c, "jti") }, "jti"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := serve(t)
			rp := party(t, config(i.url))
			raw := i.logoutToken(row.bend)
			out, err := rp.ReadLogout(t.Context(), raw)
			switch {
			case row.want == "" && (err != nil || out.Subject+out.SessionID == ""):
				t.Errorf("%+v, %v", out, err)
			case row.want != "" && (err == nil || !strings.Contains(err.Error(), row.want)):
				t.Errorf("%+v, %v", out, err)
			case row.want == "":
				if _, err := rp.ReadLogout(t.Context(), raw); err == nil {
					t.Error("it counts twice")
				}
			}
		})
	}
}

func TestUnsignedLogoutTokenIsRefused(t *testing.T) {
	t.Parallel()
	i := serve(t)
	rp := party(t, config(i.url))
	good := i.logoutToken(func(map[string]any) {})
	parts := strings.Split(good, ".")
	for name, raw := range map[string]string{
		"alg none":          "eyJhbGciOiJub25lIn0." + parts[1] + ".",
		"no signature":      parts[0] + "." + parts[1] + ".",
		"another signature": parts[0] + "." + parts[1] + "." + strings.Repeat("A", len(parts[2])),
		"empty":             "",
		"not a JWT":         "x.y",
		"huge":              strings.Repeat("a", 1<<20),
	} {
		if _, err := rp.ReadLogout(t.Context(), raw); err == nil {
			t.Errorf("%s: it counts", name)
		}
	}
	if _, err := rp.ReadLogout(t.Context(), good); err != nil {
		t.Errorf("the good one afterwards: %v", err)
	}
}

func TestAFloodOfUnknownKeysFetchesTheKeysOnce(t *testing.T) {
	t.Parallel()
	i := serve(t)
	rp := party(t, config(i.url))
	parts := strings.Split(i.logoutToken(func(map[string]any) {}), ".")
	for range 50 {
		_, _ = rp.ReadLogout(t.Context(), parts[0]+"."+parts[1]+"."+strings.Repeat("A", len(parts[2])))
	}
	if n := i.wasAsked("/keys"); n != 1 {
		t.Errorf("the keys were fetched %d times", n)
	}
}

func TestTheIssuersOwnSignOutIsFoundAndGetsNoToken(t *testing.T) {
	t.Parallel()
	i := serve(t)
	i.bend(func(i *issuer) {
		i.document = func(d map[string]any) { d["end_session_endpoint"] = i.url + "/logout" }
	})
	rp := party(t, config(i.url))
	g := granted(t, i, rp)
	there := rp.SignOutURL(g, "https://argo-cd.example.com/oauth2/")
	if !strings.HasPrefix(there, i.url+"/logout?client_id=authgate&post_logout_redirect_uri=https%3A%2F%2F") || strings.Contains(there, g.IDToken) {
		t.Error(there)
	}
}

func (i *issuer) logoutToken(bend func(map[string]any)) string {
	i.mu.Lock()
	defer i.mu.Unlock()
	now := time.Now()
	c := map[string]any{
		"iss": i.url, "sub": "CgVhbGljZQ", "aud": clientID, "iat": now.Unix(), "exp": now.Add(2 * time.Minute).Unix(), "jti": "one",
		"events": map[string]any{event: map[string]any{}},
	}
	bend(c)
	return i.sign(must(json.Marshal(c)))
}

func FuzzLogoutToken(f *testing.F) {
	now := time.Now().Unix()
	genuine := fmt.Sprintf(`{"iss":"https://dex.example.com","aud":%q,"sub":"alice","sid":"s","jti":"j","iat":%d,"exp":%d,"events":{%q:{}}}`, clientID, now, now+300, event)
	for _, seed := range []string{
		genuine,
		strings.Replace(genuine, `"sub":"alice","sid":"s",`, "", 1),
		strings.Replace(genuine, `"jti":"j"`, `"jti":"j","nonce":"n"`, 1),
		strings.Replace(genuine, `:{}}`, `:null}}`, 1),
		`{"events":[]}`, `{"exp":1e308}`, `null`, `{}`,
	} {
		f.Add([]byte(seed))
	}
	cfg := config("https://dex.example.com")
	cfg.Now = time.Now
	f.Fuzz(func(t *testing.T, payload []byte) {
		rp := identity.New(cfg, discard)
		out, err := rp.LogoutOf(payload)
		if err != nil {
			if out != (identity.Logout{}) {
				t.Errorf("an error and a logout: %+v, %v", out, err)
			}
			return
		}
		if out.Issuer != "https://dex.example.com" || out.Subject == "" && out.SessionID == "" {
			t.Errorf("it would end any user's sessions: %+v", out)
		}
		if _, err := rp.LogoutOf(payload); err == nil {
			t.Error("it counts twice")
		}
	})
}
