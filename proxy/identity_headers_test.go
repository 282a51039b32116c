package proxy_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/example-org/authgate/config"
	"github.com/example-org/authgate/proxy"
)

func template(pieces ...string) config.HeaderTemplate {
	var t config.HeaderTemplate
	for i := 0; i < len(pieces); i += 2 {
		t = append(t, config.TemplatePart{Text: pieces[i], Claim: pieces[i+1]})
	}
	return t
}

// dashboards gives the upstream argocd settings of its own.
func dashboards(change func(u *config.Upstream)) func(*proxy.Options) {
	return func(o *proxy.Options) {
		o.Config.Upstreams[0].Kind = config.KindGeneric
		change(&o.Config.Upstreams[0])
	}
}

func echoServer(t testing.TB) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(serveEcho))
	t.Cleanup(server.Close)
	return server.URL
}

func settingHeaders(t *testing.T) *gate {
	return newGateTo(t, echoServer(t), dashboards(func(u *config.Upstream) {
		u.Identity.Headers = config.HeadersNone
		u.SetHeaders = map[string]config.HeaderTemplate{
			"kubeflow-userid": template("", "email"), "X-Who": template("id:", "sub", "/", "name", "!", ""), "X-Teams": template("", "groups"), "X-Fixed": template("constant", ""),
			"Dash_User": template("", "sub"),
		}
		u.StripHeaders = []string{"X-Tenant", "x_other.name"}
	}))
}

func TestAnUpstreamIsToldUnderItsOwnNames(t *testing.T) {
	t.Parallel()
	g := settingHeaders(t)
	spoofs := []string{
		"Kubeflow-Userid", spoofed, "KUBEFLOW_USERID", spoofed, "kubeflow.userid", spoofed, "X-Who", spoofed, "X-Teams", spoofed, "X-Teams", spoofed, "X-Fixed", spoofed,
		"X-Tenant", spoofed, "x_tenant", spoofed, "X-Other-Name", spoofed, "Dash-User", spoofed, "Dash_User", spoofed, "Connection", "Kubeflow-Userid, X-Who",
	}
	got := echoed(t, g.do("GET", app, g.as("bob"), spoofs)).Header
	for name, want := range map[string]string{
		"Kubeflow-Userid": "bob@example.com", "X-Who": "id:sub-bob/bob!", "X-Teams": "example-org:dev,odd%2C group%25%0A", "X-Fixed": "constant", "Dash_user": "sub-bob",
		"X-Tenant": "", "X-Other-Name": "", "Dash-User": "", "X-Forwarded-User": "", "X-Auth-Request-User": "",
	} {
		if values := got[name]; strings.Join(values, "|") != want {
			t.Errorf("%s: %q, want %q", name, values, want)
		}
	}

	// carol has no verified address and no groups.
	got = echoed(t, g.do("GET", "https://argo-cd.example.com/welcome", g.as("carol"), spoofs)).Header
	if got["Kubeflow-Userid"] != nil || got["X-Teams"] != nil || got.Get("X-Who") != "id:sub-carol/carol!" {
		t.Errorf("what is not known was told: %q", got)
	}

	anonymous := echoed(t, g.do("GET", "https://argo-cd.example.com/api/dex/keys", spoofs)).Header
	for _, name := range []string{"Kubeflow-Userid", "X-Who", "X-Teams", "X-Fixed", "Dash_user", "Dash-User", "X-Tenant", "X-Other-Name"} {
		if anonymous[name] != nil {
			t.Errorf("anonymous: %s says %q", name, anonymous[name])
		}
	}
}

func TestAnIngressIsToldUnderTheNamesOfTheUpstream(t *testing.T) {
	t.Parallel()
	g := settingHeaders(t)
	res := g.ask(forms["nginx"]("GET", app), g.as("bob"), sameSite)
	expect(t, "bob", res, http.StatusAccepted)
	if res.Header.Get("Kubeflow-Userid") != "bob@example.com" || res.Header.Get("X-Teams") == "" || res.Header["X-Forwarded-User"] != nil {
		t.Errorf("%q", res.Header)
	}
	res = g.ask(forms["nginx"]("GET", "https://argo-cd.example.com/api/dex/keys"))
	expect(t, "anonymous", res, http.StatusAccepted)
	if res.Header["Kubeflow-Userid"] != nil || res.Header["X-Fixed"] != nil {
		t.Errorf("%q", res.Header)
	}
}

func TestIdentityHeadersComeInFamilies(t *testing.T) {
	t.Parallel()
	for headers, want := range map[config.IdentityHeaders][2]bool{
		config.HeadersBoth: {true, true}, config.HeadersNone: {false, false}, config.HeadersForwarded: {true, false}, config.HeadersAuthRequest: {false, true},
	} {
		for _, groups := range []config.IdentityGroups{config.GroupsAll, config.GroupsPolicy} {
			g := newGateTo(t, echoServer(t), dashboards(func(u *config.Upstream) { u.Identity.Headers, u.Identity.Groups = headers, groups }))
			wantGroups := "example-org:dev,odd%2C group%25%0A"
			if groups == config.GroupsPolicy {
				wantGroups = "example-org:dev"
			}
			check := func(what string, h http.Header) {
				t.Helper()
				for i, family := range []string{"X-Forwarded-", "X-Auth-Request-"} {
					told := map[string]string{"User": "sub-bob", "Email": "bob@example.com", "Preferred-Username": "bob", "Groups": wantGroups}
					for name, value := range told {
						if !want[i] {
							value = ""
						}
						if got := h.Get(family + name); got != value {
							t.Errorf("%s with %s, %s: %s%s is %q, want %q", what, headers, groups, family, name, got, value)
						}
					}
				}
			}
			spoofs := []string{"X-Auth-Request-User", spoofed, "X-Forwarded-User", spoofed}
			check("forwarded", echoed(t, g.do("GET", app, g.as("bob"), spoofs)).Header)
			res := g.ask(forms["nginx"]("GET", app), g.as("bob"), sameSite)
			expect(t, "ingress", res, http.StatusAccepted)
			check("forward-auth", res.Header)
		}
	}
}

func TestTeamsOfAnOrganisationThatThePolicyNamesAreTold(t *testing.T) {
	t.Parallel()
	g := newGateTo(t, echoServer(t), dashboards(func(u *config.Upstream) { u.Identity.Groups = config.GroupsPolicy }), func(o *proxy.Options) {
		o.Policy = load(t, "p, example-org:*, argocd, /**, GET, allow\np, odd-org:x, argocd, /**, GET, allow\n")
	})
	got := echoed(t, g.do("GET", app, g.as("bob"))).Header
	if told := got.Get("X-Forwarded-Groups"); told != "example-org:dev" {
		t.Errorf("groups %q", told)
	}
	g.SetPolicy(load(t, "p, system:authenticated, argocd, /**, GET, allow\n"))
	got = echoed(t, g.do("GET", app, g.as("bob"))).Header
	if slices.Contains(got["X-Forwarded-Groups"], "example-org:dev") {
		t.Error("a policy that names no group has one told")
	}
}
