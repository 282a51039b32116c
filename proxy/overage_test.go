package proxy_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/example-org/authgate/identity"
	"github.com/example-org/authgate/proxy"
)

func TestADeniedUserLearnsThatTheIssuerLeftTheGroupsOut(t *testing.T) {
	t.Parallel()
	g := newGateTo(t, upstreamSaying(t), func(o *proxy.Options) {
		o.BearerVerifier = accepting{"too.many.groups": identity.Principal{
			Issuer: "https://dex.example.com", Subject: "sub-carol", GroupsOverage: true, Expiry: time.Now().Add(time.Hour),
		}}
	})
	const said = "identity provider left out your groups because there are too many"
	res := g.do("GET", app, bearer("too.many.groups"))
	expect(t, "problem+json", res, http.StatusForbidden)
	if text := body(t, res); !strings.Contains(text, said) || !strings.Contains(text, `"groups_overage":true`) {
		t.Error(text)
	}
	if text := body(t, g.do("GET", app, bearer("too.many.groups"), []string{"Accept", "text/html"})); !strings.Contains(text, said) {
		t.Error(text)
	}
	if text := body(t, g.do("DELETE", app, g.as("bob"), sameSite)); strings.Contains(text, "identity provider") || strings.Contains(text, "groups_overage") {
		t.Errorf("of a user with groups: %s", text)
	}
}
