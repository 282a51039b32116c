package identity_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"

	"github.com/example-org/authgate/identity"
)

// machines makes an issuer of one without logins: as GitHub Actions and
// Kubernetes do, it has keys and no endpoints.
func (i *issuer) machines() *issuer {
	i.document = func(d map[string]any) {
		for _, endpoint := range []string{"authorization_endpoint", "token_endpoint", "userinfo_endpoint"} {
			delete(d, endpoint)
		}
	}
	return i
}

// jwt signs claims as the issuer; nil takes a claim out.
func (i *issuer) jwt(sets ...map[string]any) string {
	i.mu.Lock()
	defer i.mu.Unlock()
	c := map[string]any{"iss": i.url}
	for _, set := range sets {
		maps.Copy(c, set)
	}
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	return i.sign(must(json.Marshal(c)))
}

// actions are the claims of a GitHub Actions job, all of them, as documented in
// "OpenID Connect reference" of docs.github.com.
func actions() map[string]any {
	now := time.Now()
	return map[string]any{
		"jti": "example-id", "sub": "repo:example-org/app:environment:prod", "aud": "authgate",
		"iat": now.Unix(), "nbf": now.Add(-10 * time.Minute).Unix(), "exp": now.Add(5 * time.Minute).Unix(),
		"ref": "refs/heads/main", "ref_type": "branch", "ref_protected": "true", "sha": "example-sha", "base_ref": "", "head_ref": "",
		"repository": "example-org/app", "repository_id": "74", "repository_owner": "example-org", "repository_owner_id": "65",
		"repository_visibility": "private", "enterprise": "example", "enterprise_id": "123", "actor": "alice", "actor_id": "12",
		"event_name": "push", "workflow": "deploy", "workflow_ref": "example-org/app/.github/workflows/deploy.yml@refs/heads/main",
		"workflow_sha": "example-sha", "job_workflow_ref": "example-org/ci/.github/workflows/deploy.yml@refs/heads/main",
		"job_workflow_sha": "example-sha", "environment": "prod", "run_id": "9", "run_number": "10", "run_attempt": "2",
		"check_run_id": "11", "runner_environment": "github-hosted", "repo_property_tier": "one,two",
	}
}

// serviceAccount are the claims of a Kubernetes token (pkg/serviceaccount/claims.go).
func serviceAccount() map[string]any {
	now := time.Now()
	return map[string]any{
		"aud": []string{"authgate", "https://kubernetes.default.svc"}, "jti": "6b1f",
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(time.Hour).Unix(),
		"sub": "system:serviceaccount:ci:builder",
		"kubernetes.io": map[string]any{
			"namespace": "ci", "serviceaccount": map[string]any{"name": "builder", "uid": "u"},
		},
	}
}

// template reads {claim} as the configuration does, without its checks.
func template(s string) (t identity.GroupTemplate) {
	for s != "" {
		text, rest, _ := strings.Cut(s, "{")
		claim, after, _ := strings.Cut(rest, "}")
		t, s = append(t, identity.TemplatePart{Text: text, Claim: claim}), after
	}
	return t
}

func templates(list ...string) (ts []identity.GroupTemplate) {
	for _, s := range list {
		ts = append(ts, template(s))
	}
	return ts
}

// ofActions is what the documentation advises.
func ofActions(i *issuer) identity.Bearer {
	return identity.Bearer{
		Issuer: i.url, Audience: "authgate", SubjectClaim: "sub",
		Require: map[string][]string{"repository_owner_id": {"65"}, "event_name": {"push", "workflow_dispatch"}},
		Groups:  templates("ci:{repository}", "ci:{repository}:{ref}"),
	}
}

// running starts Run, and ends it with the test.
func running(t testing.TB, b *identity.Bearers) *identity.Bearers {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	var ended sync.WaitGroup
	ended.Go(func() { b.Run(ctx) })
	t.Cleanup(func() {
		stop()
		ended.Wait()
	})
	return b
}

// accepting are running Bearers of an issuer for people and the given others.
func accepting(t *testing.T, others ...identity.Bearer) *identity.Bearers {
	t.Helper()
	return running(t, identity.NewBearers(party(t, config(serve(t).url)), others, discard))
}

func TestAJobOfGitHubActionsIsKnownByItsClaims(t *testing.T) {
	t.Parallel()
	i := serve(t).machines()
	b := accepting(t, ofActions(i))
	claims := actions()
	p, err := b.Verify(t.Context(), i.jwt(claims))
	if err != nil {
		t.Fatal(err)
	}
	if p.Issuer != i.url || p.Subject != "repo:example-org/app:environment:prod" || p.Untrusted ||
		!slices.Equal(p.Groups, []string{"ci:example-org/app", "ci:example-org/app:refs/heads/main"}) ||
		p.Expiry.Unix() != claims["exp"] || p.Email != "" || p.Username != "" {
		t.Errorf("%+v", p)
	}
}

func TestATokenHasToBeWhatTheConfigurationRequires(t *testing.T) {
	t.Parallel()
	type m = map[string]any
	now := time.Now()
	for name, row := range map[string]struct {
		claims  m
		refused string // empty: accepted
	}{
		"another of the values":       {m{"event_name": "workflow_dispatch"}, ""},
		"audience in a list":          {m{"aud": []string{"other", "authgate"}}, ""},
		"azp is another's":            {m{"azp": "other"}, ""},
		"another owner":               {m{"repository_owner_id": "66"}, `its claim "repository_owner_id" is "66", which is not accepted`},
		"owner as a number":           {m{"repository_owner_id": 65}, ""},
		"owner as another number":     {m{"repository_owner_id": 65.5}, `is "65.5", which is not accepted`},
		"owner in a list":             {m{"repository_owner_id": []string{"65"}}, "no path leads into a claim"},
		"owner in an object":          {m{"repository_owner_id": m{"id": "65"}}, "no path leads into a claim"},
		"owner of the same beginning": {m{"repository_owner_id": "651"}, "is not accepted"},
		"owner in another case":       {m{"repository_owner_id": nil, "Repository_Owner_Id": "65"}, "has no claim"},
		"no owner":                    {m{"repository_owner_id": nil}, `it has no claim "repository_owner_id"`},
		"owner is empty":              {m{"repository_owner_id": ""}, `is "", which is not accepted`},
		"none of the values":          {m{"event_name": "pull_request_target"}, `its claim "event_name" is "pull_request_target"`},
		"another audience":            {m{"aud": "https://github.com/example-org"}, `it is for the audience "https://github.com/example-org"`},
		"audience that begins alike":  {m{"aud": "authgate2"}, "it is for the audience"},
		"no audience":                 {m{"aud": nil}, "it is for the audience"},
		"expired":                     {m{"exp": now.Add(-time.Hour).Unix()}, "expired at"},
		"never expires":               {m{"exp": nil}, "no exp"},
		"not valid yet":               {m{"nbf": now.Add(time.Hour).Unix()}, "is not valid before"},
		"no subject":                  {m{"sub": nil}, "no sub"},
		"subject that breaks lines":   {m{"sub": "a\nb"}, "other than printable ASCII"},
		"a logout token":              {m{"events": m{event: m{}}}, "reports an event"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := serve(t).machines()
			p, err := accepting(t, ofActions(i)).Verify(t.Context(), i.jwt(actions(), row.claims))
			if row.refused != "" {
				wantRefused(t, err, row.refused)
				if p != nil {
					t.Errorf("refused, and yet %+v", p)
				}
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}

func TestForgedTokensAreRefused(t *testing.T) {
	t.Parallel()
	i := serve(t).machines()
	b := accepting(t, ofActions(i))
	good := i.jwt(actions())
	parts := strings.Split(good, ".")
	evil := serve(t).machines()
	evil.signWith("one", jose.RS256, rsaKeys[1]())
	payload := must(base64.RawURLEncoding.DecodeString(parts[1]))
	public := i.published[0]
	hmac := signer("one", jose.HS256, must(public.MarshalJSON()))(payload)

	for name, row := range map[string]struct{ raw, refused string }{
		"another issuer":            {evil.jwt(actions()), "which is neither issuer.url nor an issuer of bearer"},
		"another's in its name":     {evil.jwt(actions(), map[string]any{"iss": i.url}), "of none of the keys"},
		"an issuer with a slash":    {evil.jwt(actions(), map[string]any{"iss": i.url + "/"}), "which is neither"},
		"no issuer":                 {evil.jwt(actions(), map[string]any{"iss": nil}), "no iss"},
		"issuer is a number":        {evil.jwt(actions(), map[string]any{"iss": 5}), "iss is not a string"},
		"alg none":                  {"eyJhbGciOiJub25lIn0." + parts[1] + ".", `it is signed with "none"`},
		"HMAC with the public key":  {hmac, `it is signed with "HS256"`},
		"no signature":              {parts[0] + "." + parts[1] + ".", "none of the keys"},
		"another signature":         {parts[0] + "." + parts[1] + "." + strings.Repeat("A", len(parts[2])), "none of the keys"},
		"another payload":           {parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(string(payload), "example-org/app", "example-org/ape", 1))) + "." + parts[2], "none of the keys"},
		"nothing":                   {"", "not a JWT"},
		"a word":                    {"SECRETWORD", "not a JWT"},
		"dots":                      {"..", "not a JSON object"},
		"JSON serialisation":        {`{"payload":"` + parts[1] + `","signatures":[]}`, "not a JWT"},
		"encrypted":                 {"a.b.c.d.e", "not a JWT"},
		"payload in another base64": {parts[0] + "." + parts[1] + "=." + parts[2], "not a JSON object"},
		"larger than it may be":     {good + strings.Repeat("A", 8<<10), "larger than 8192 bytes"},
		"null":                      {parts[0] + ".bnVsbA." + parts[2], "no iss"},
	} {
		_, err := b.Verify(t.Context(), row.raw)
		wantRefused(t, err, row.refused)
		if err != nil && strings.Contains(err.Error(), "SECRETWORD") {
			t.Errorf("%s: the error repeats the token: %v", name, err)
		}
	}
	if _, err := b.Verify(t.Context(), good); err != nil {
		t.Errorf("the good one afterwards: %v", err)
	}
}

func TestTokensThatAnIssuerSignsForOtherEndsAreRefused(t *testing.T) {
	t.Parallel()
	i := serve(t).machines()
	b := accepting(t, ofActions(i))
	typed := func(typ jose.ContentType) string {
		options := (&jose.SignerOptions{}).WithType(typ).WithHeader("kid", "one")
		s := must(jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: rsaKeys[0]()}, options))
		c := actions()
		c["iss"] = i.url
		return must(must(s.Sign(must(json.Marshal(c)))).CompactSerialize())
	}
	for typ, good := range map[jose.ContentType]bool{
		"JWT": true, "jwt": true, "at+jwt": true, "application/at+jwt": true,
		"logout+jwt": false, "secevent+jwt": false, "dpop+jwt": false, "x": false,
	} {
		_, err := b.Verify(t.Context(), typed(typ))
		if good && err != nil {
			t.Errorf("%s: %v", typ, err)
		} else if !good {
			wantRefused(t, err, "which is no token that says who asks")
		}
	}
}

func TestTokensOfTheIssuerAtWhichPeopleLogInAreReadAsThere(t *testing.T) {
	t.Parallel()
	dex := serve(t)
	b := running(t, identity.NewBearers(party(t, config(dex.url)), []identity.Bearer{
		{Issuer: dex.url, Audience: "argo-cd-cli"},
		{Issuer: dex.url, Audience: "narrow", Require: map[string][]string{"preferred_username": {"bob"}}},
	}, discard))
	person := map[string]any{
		"sub": "CgVhbGljZQ", "aud": clientID, "iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(), "nonce": "n",
		"email": "alice@example.com", "email_verified": true, "preferred_username": "alice", "groups": []string{"example-org:argo", "role:admin"},
	}
	for audience, refused := range map[string]string{
		clientID: "", "argo-cd-cli": "", "argo-cd": "it is for the audience", "": "it is for the audience",
		"narrow": `its claim "preferred_username" is "alice"`,
	} {
		p, err := b.Verify(t.Context(), dex.jwt(person, map[string]any{"aud": audience}))
		if refused != "" {
			wantRefused(t, err, refused)
		} else if err != nil || p.Email != "alice@example.com" || !p.EmailVerified || p.Untrusted || !slices.Equal(p.Groups, []string{"example-org:argo"}) {
			t.Errorf("%s: %+v, %v", audience, p, err)
		}
	}
	p, err := b.Verify(t.Context(), dex.jwt(person, map[string]any{"aud": []string{"authgate-cli", clientID}, "azp": "authgate-cli"}))
	if err != nil || p.Subject != "CgVhbGljZQ" {
		t.Errorf("a token that a trusted peer asked for: %+v, %v", p, err)
	}
}

func TestEmptyAudienceMatchesNoToken(t *testing.T) {
	t.Parallel()
	i := serve(t).machines()
	b := accepting(t, identity.Bearer{Issuer: i.url, SubjectClaim: "sub"})
	for _, audience := range []any{"", "authgate", []string{""}, []string{}, nil} {
		_, err := b.Verify(t.Context(), i.jwt(actions(), map[string]any{"aud": audience}))
		wantRefused(t, err, "it is for the audience")
	}
}

func TestIssuersAreKeptApart(t *testing.T) {
	t.Parallel()
	one, two := serve(t).machines(), serve(t).machines()
	two.signWith("one", jose.RS256, rsaKeys[1]()) // of the same name
	b := accepting(t,
		identity.Bearer{Issuer: one.url, Audience: "a", SubjectClaim: "sub", Groups: templates("one:{ref}")},
		identity.Bearer{Issuer: two.url, Audience: "b", SubjectClaim: "sub", Groups: templates("two:{ref}")},
		identity.Bearer{Issuer: two.url, Audience: "c", SubjectClaim: "repository", Groups: templates("three:{ref}"), Require: map[string][]string{"ref_type": {"branch"}}},
	)
	for _, row := range []struct {
		of        *issuer
		aud       string
		iss       string
		group     string // empty: refused
		unvouched bool
	}{
		{of: one, aud: "a", group: "one:refs/heads/main", unvouched: true},
		{of: two, aud: "b", group: "two:refs/heads/main", unvouched: true},
		{of: two, aud: "c", group: "three:refs/heads/main"},
		{of: one, aud: "b"},
		{of: two, aud: "a"},
		{of: one, aud: "b", iss: two.url},
		{of: two, aud: "a", iss: one.url},
	} {
		claims := actions()
		claims["aud"] = row.aud
		if row.iss != "" {
			claims["iss"] = row.iss
		}
		p, err := b.Verify(t.Context(), row.of.jwt(claims))
		if row.group == "" {
			wantRefused(t, err, "")
		} else if err != nil || !slices.Equal(p.Groups, []string{row.group}) || p.Untrusted != row.unvouched {
			t.Errorf("%+v, %v; want %+v", p, err, row)
		}
	}
}

func TestAnIssuerThatDoesNotAnswerLeavesTheOthersAlone(t *testing.T) {
	t.Parallel()
	good, bad, lost := serve(t).machines(), serve(t).machines(), newIssuer("http://127.0.0.1:1/unreachable")
	bad.instead["/.well-known/openid-configuration"] = func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "token=SECRETWORD", http.StatusServiceUnavailable)
	}
	b := accepting(t, ofActions(bad), ofActions(lost), ofActions(good))
	if _, err := b.Verify(t.Context(), good.jwt(actions())); err != nil {
		t.Error(err)
	}
	for i, words := range map[*issuer]string{bad: "it answered 503 Service Unavailable, beginning with: token=[redacted]", lost: "connection refused"} {
		_, err := b.Verify(t.Context(), i.jwt(actions()))
		wantUnreachable(t, err, words)
		if strings.Contains(err.Error(), "SECRETWORD") {
			t.Errorf("the error repeats the answer: %v", err)
		}
	}
}

func TestWhatIsWrongWithAnIssuerIsSaid(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		bend  func(*issuer)
		words string
	}{
		"calls itself otherwise": {func(i *issuer) {
			i.document = func(d map[string]any) { d["issuer"] = i.url + "/" }
		}, "write the issuer of bearer exactly as it does"},
		"no keys announced": {func(i *issuer) {
			i.document = func(d map[string]any) { delete(d, "jwks_uri") }
		}, "its jwks_uri is missing"},
		"HMAC only": {func(i *issuer) {
			i.document = func(d map[string]any) { d["id_token_signing_alg_values_supported"] = []string{"HS256", "none"} }
		}, "signs ID tokens with HS256, none only"},
		"keys are no key set": {func(i *issuer) {
			i.instead["/keys"] = func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(`{"secret":"SECRETWORD"}`)) }
		}, "are not a JSON Web Key Set"},
		"keys are endless": {func(i *issuer) {
			i.instead["/keys"] = func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(strings.Repeat(" ", 2<<20))) }
		}, "larger than 1 MiB"},
		"redirects": {func(i *issuer) {
			i.instead["/keys"] = func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/x?SECRETWORD", http.StatusFound) }
		}, "an issuer answers by itself"},
		"not modified": {func(i *issuer) {
			i.instead["/keys"] = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotModified) }
		}, "it answered 304"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := serve(t).machines()
			i.bend(row.bend)
			_, err := accepting(t, ofActions(i)).Verify(t.Context(), i.jwt(actions()))
			wantUnreachable(t, err, row.words)
			if strings.Contains(err.Error(), "SECRETWORD") {
				t.Errorf("the error repeats the answer: %v", err)
			}
		})
	}
}

func TestTokensWaitForAnIssuerThatWasNotDiscoveredYet(t *testing.T) {
	t.Parallel()
	dex := serve(t)
	down := func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusBadGateway) }
	dex.instead["/.well-known/openid-configuration"] = down
	rp := identity.New(config(dex.url), discard)
	rp.Look(t.Context())
	b := identity.NewBearers(rp, nil, discard)
	b.Fetch(t.Context())
	person := map[string]any{"sub": "a", "aud": clientID, "iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix()}
	_, err := b.Verify(t.Context(), dex.jwt(person))
	wantUnreachable(t, err, "it answered 502 Bad Gateway")

	dex.bend(func(i *issuer) { delete(i.instead, "/.well-known/openid-configuration") })
	rp.Look(t.Context())
	b.Fetch(t.Context())
	if _, err := b.Verify(t.Context(), dex.jwt(person)); err != nil {
		t.Error(err)
	}
}
